"""The forward pass: what a model thinks of the tokens of some rows, each shared beginning once.

Rollouts of one task, both sides of a preference, the turns of a debate and agents who heard the
same words begin alike.  A batch is the prefix tree of its rows, packed without padding: what
several rows begin with goes through the model a single time, gradient included, and the numbers
are those of each row by itself (tests/test_forward.py).  Prior art, for groups: Prefix Grouper
(arXiv:2506.05433).

Layers that remember in a state what they have read (Gated DeltaNet, Mamba 2) read it once, too, and
hand the state on (`recurrent`).  What fits no tree (`check`) goes through the model side by side,
each row whole, and all else is as in a tree.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from . import recurrent
from .attention import KERNEL
from .logprobs import Head, chosen
from .sight import Sight
from .stretches import first, padded
from .tree import leaves
from .types import Form, Rows, Scores


def attention(model: Any) -> str:
    """Return which attention `model` asks for, by transformers' name of it."""
    return model.config.get_text_config()._attn_implementation


def form(model: Any) -> Form:
    """Return the form in which rows go through `model`."""
    if attention(model) != KERNEL:
        return "rows"
    return "states" if recurrent.keepers(model) else "tree"


def states(model: Any, rows: Rows) -> Tensor:
    """Return the (M, E) last hidden states of the tree's tokens."""
    if attention(model) == KERNEL:
        return run(model, rows.tokens, Sight.of(rows.nodes, rows.position))
    return beside(model, rows)


def beside(model: Any, rows: Rows) -> Tensor:
    """Return the same of rows that go through the model side by side.

    They are padded on the right, where nothing comes after that could be disturbed.
    """
    places = padded(leaves(rows.nodes))
    tokens = rows.tokens[places.clamp(min=0).to(rows.tokens.device)]
    hidden = _backbone(model)(input_ids=tokens, use_cache=False).last_hidden_state
    return hidden.flatten(0, 1)[first([places]).to(hidden.device)]


def run(model: Any, tokens: Tensor, sight: Sight) -> Tensor:
    """Return the (M, E) last hidden states of (M,) tokens that see each other so."""
    found = _backbone(model)(
        input_ids=tokens[None], position_ids=sight.position[None], use_cache=False, sight=sight
    )
    return found.last_hidden_state[0]


def _backbone(model: Any) -> Any:
    return getattr(model, model.base_model_prefix, None) or model.model


def score(
    model: Any,
    rows: Rows,
    *,
    bonus: bool = False,
    scalar: nn.Linear | None = None,
    through: Callable[[Any, Rows], Tensor] = states,
) -> Scores:
    """Return what a causal `model` thinks of the completions of the rows.

    Args:
        model: a transformers causal language model; with `attention.KERNEL` rows go in a tree.
        rows: on the model's device.
        bonus: whether entropies carry a gradient.
        scalar: a head that makes a number of a hidden state.
        through: gives the last hidden states, as the function `states` does.

    Returns:
        float32, zero under padding.
    """
    top = head(model)
    hidden = through(model, rows).to(top.weight.dtype)  # Mamba's are float32 in any model
    found = chosen(top, hidden[rows.before], rows.chosen, rows.temperature, bonus=bonus)
    zeros = torch.zeros(rows.mask.shape, device=hidden.device)
    scores = Scores(*(zeros.masked_scatter(rows.mask, values[rows.place]) for values in found))
    if scalar is not None:
        numbers = scalar(hidden.to(scalar.weight.dtype)).squeeze(-1)
        values = zeros.masked_scatter(rows.mask, numbers[rows.before][rows.place])
        scores = scores._replace(reward=numbers[rows.last], value=values)
    if rows.probe is None:
        return scores
    probes = torch.full_like(rows.last, rows.probe)
    plain = torch.ones_like(rows.last, dtype=torch.float32)
    return scores._replace(probe=chosen(top, hidden[rows.last], probes, plain).logp)


def head(model: Any) -> Head:
    """Return how `model` turns hidden states into logits."""
    config, embedding = model.config.get_text_config(), model.get_output_embeddings()
    assert isinstance(embedding, nn.Linear), "architecture.base refuses others"
    scale = getattr(config, "logit_scale", None) or 1 / (
        getattr(config, "logits_scaling", None) or 1
    )
    cap = getattr(config, "final_logit_softcapping", None)
    return Head(embedding.weight, scale, cap, embedding.bias)
