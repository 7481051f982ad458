"""Whether what we find of a model's rows is what transformers finds of each: asked as it is loaded.

A few words go through the model in the passes of our own, as rows that begin alike, one by one, and
as transformers alone has it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException  # pyright: ignore[reportPrivateUsage]

from moot.agents.embedded.plain import Row, alone, apart, plain
from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import MootError, in_one_line

from ..data.examples import Said
from . import recurrent
from .attention import KERNEL
from .forward import attention, beside, form, run, score
from .rows import moved, rows
from .sight import Sight
from .stretches import FEWEST
from .types import Rows

SHARED = -1
"""The number of a part that several layers have in common (Zamba 2)."""
APIECE = {"mlp", "moe"}
"""The kinds of layers that look at each token by itself."""
LOST = 0.01
"""The part of a gradient that may be amiss, in float32; in half its width a row's own is."""
ATTENTION = {"full_attention", "attention", "sliding_attention"}
"""Those that our attention computes; others would be amiss in long rows alone."""
STATES = {"linear_attention", "mamba", "conv", "hybrid"}
"""Those that keep states, and those that attend too."""


def attention_for(loaded: Any, model: Path) -> str:
    """Return the attention with which rows go through the model as they do one by one.

    Ours is that of a tree; with transformers' they go through it side by side.

    Raises:
        MootError: there is none.
    """
    two = plain(Tokens(model), loaded)
    why = None
    for name in (KERNEL, "sdpa", "eager"):
        why = _wrong(loaded, name, two)
        if why is None:
            return name
    raise MootError(f"{model}: can't train this architecture: {why}")


def _wrong(loaded: Any, name: str, two: Sequence[Row]) -> str | None:
    """Return what is wrong with what we find of two rows with the attention of that `name`.

    `None`: nothing.
    """
    if name == KERNEL and (unlike := {*_kinds(loaded)} - ATTENTION - STATES - APIECE):
        return f"a tree's tokens can't see each other by {min(unlike)}"
    try:
        loaded.set_attn_implementation(name)
        if attention(loaded) != name:
            return "its attention can't be replaced"
        return _differs(loaded, two)
    except torch.OutOfMemoryError:
        raise  # nothing is wrong with the architecture
    except (TorchDynamoException, torch.AcceleratorError) as error:  # nor here
        raise MootError(f"attention can't be computed here: {in_one_line(error)}") from error
    except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as error:
        return in_one_line(error)  # it isn't as others are built


def _differs(loaded: Any, two: Sequence[Row]) -> str | None:
    """Return how what we find of two rows differs from that of each; `None`: it doesn't."""
    with torch.no_grad():
        both, sight = _found(loaded, two)
        if sight is not None and (why := _unread(loaded, sight)):
            return why
        apiece = torch.cat([_found(loaded, [row])[0] for row in two])
        own = _own(loaded, two)
    for other, what in ((apiece, "of each row by itself"), (own, "of it in transformers")):
        if far := apart(loaded, both, other):
            return (
                f"what we find of rows that begin alike isn't what we find {what}: "
                f"log-probabilities are {far:.2g} nats apart"
            )
    return _lost(loaded, two) if form(loaded) == "states" else None


def _unread(loaded: Any, sight: Sight) -> str | None:
    """Return how many layers went by no tree, and see tokens as they like; `None`: none does."""
    told: list[Any] = [module for module in loaded.modules() if id(module) in sight.readers]
    if any(module not in told for module in recurrent.keepers(loaded)):
        return "its layers aren't told of a tree"
    layers = loaded.config.get_text_config().num_hidden_layers
    layers -= sum(kind in APIECE for kind in _kinds(loaded))
    asked = len({module.layer_idx for module in told} - {SHARED})
    return None if asked == layers else f"{asked} of its {layers} layers go by a tree"


def _lost(loaded: Any, two: Sequence[Row]) -> str | None:
    """Return what of the gradient doesn't come back through states; `None`: all of it does."""
    shared = _batch(loaded, two).nodes[0].end
    together, heard = _slopes(loaded, two)
    if not heard:
        return "it doesn't go on from all of its states"
    if loaded.dtype != torch.float32:  # nobody could tell
        return None
    apiece = sum((_slopes(loaded, [row])[0][:shared] for row in two), torch.zeros(()))
    lost = float((together[:shared] - apiece).norm() / apiece.norm())
    return None if lost <= LOST else f"{lost:.0%} of the gradient are lost in states"


def _slopes(loaded: Any, some: Sequence[Row]) -> tuple[Tensor, bool]:
    """Return (M, E) the gradient of what is found by the embeddings of the tree's tokens.

    And whether there is one by each state that was handed on.
    """
    embedded = list[Tensor]()

    def learning(_module: nn.Module, _args: object, out: Tensor) -> None:
        embedded.append(out.requires_grad_())

    hook = loaded.get_input_embeddings().register_forward_hook(learning)
    try:
        with torch.enable_grad():
            found, sight = _found(loaded, some)
    finally:
        hook.remove()
    states = (sight and sight.handed_on) or []
    by: Any = torch.autograd.grad(found.sum(), [*embedded, *states], allow_unused=True)
    return by[0][0].float(), all(one is not None and bool(one.any()) for one in by[1:])


def _found(loaded: Any, some: Sequence[Row]) -> tuple[Tensor, Sight | None]:
    """Return the log-probabilities of what follows in all rows, one after the other.

    And what they went by, if it was a tree; however little rows have in common, states of it are
    handed on.
    """
    batch = _batch(loaded, some)
    if form(loaded) == "rows":
        return score(loaded, batch, through=beside).logp[batch.mask], None
    plain = Sight.of(batch.nodes, batch.position)
    sight = replace(plain, handed=FEWEST, handed_on=list[Tensor]())
    found = score(loaded, batch, through=lambda model, rows: run(model, rows.tokens, sight))
    return found.logp[batch.mask], sight


def _batch(loaded: Any, some: Sequence[Row]) -> Rows:
    said = [Said((), "", tokens=end, prompt_tokens=begin) for begin, end in some]
    return moved(rows(said), loaded.device)


def _kinds(loaded: Any) -> Sequence[str]:
    """Return the kinds of its layers, where its configuration says them."""
    return getattr(loaded.config.get_text_config(), "layer_types", None) or ()


def _own(loaded: Any, some: Sequence[Row]) -> Tensor:
    """Return the same as transformers alone finds them."""
    before = attention(loaded)
    loaded.set_attn_implementation("eager")
    try:
        return torch.cat([alone(loaded, row) for row in some])
    finally:
        loaded.set_attn_implementation(before)
