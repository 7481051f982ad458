"""Moot's side of training.py, and its loss of the work, which the padded side has too.

TRL's environment reads this too, and has no Moot: what is of Moot is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from training_work import BETA, Side, Work

if TYPE_CHECKING:
    from moot.training.data.examples import Said
    from moot.training.model.types import Rows, Scores


def ours(batch: Work, model: Path, *, graphs: bool = False) -> Side:
    """Return a learner's pass over the tree of the work, with or without CUDA graphs."""
    from moot.training.model.architecture import base
    from moot.training.model.learner import Learner
    from moot.training.model.rows import moved, rows
    from moot.training.settings import Fit

    fit = Fit(graphs=graphs)
    learner = Learner(base(model, fit), fit, None, 0, model)
    said, mean = taught(batch)

    def losses() -> Iterator[Tensor]:
        packed = moved(rows(said), learner.device)
        if batch.preferences:
            with torch.no_grad(), learner.anchored():
                packed = replace(packed, anchor=learner.policy(packed).logp)
        yield mean(learner.policy(packed), packed)

    packed, parameters = rows(said), learner.parameters()
    adapters = sum(p.numel() for p in parameters.values())
    facts = {"tree": len(packed.tokens), "flops": _flops(learner.base, adapters, packed)}
    return Side(parameters, losses, facts)


def _flops(model: Any, adapters: int, packed: Rows) -> float:
    """Return the operations that an update on the tree needs: see training.py."""
    config, head = model.config, model.get_output_embeddings().weight
    embeddings = (head, model.get_input_embeddings().weight)
    frozen = sum(
        p.numel()
        for p in model.parameters()
        if p.ndim == 2 and not p.requires_grad and all(p is not e for e in embeddings)
    )
    seen = int((packed.position + 1).sum())
    width = config.num_hidden_layers * config.num_attention_heads * config.head_dim
    linear = (4 * frozen + 6 * adapters) * len(packed.tokens)
    return linear + 4 * head.numel() * len(packed.chosen) + 12 * width * seen


def taught(batch: Work) -> tuple[list[Said], Callable[[Scores, Rows], Tensor]]:
    """Return the rows as Moot knows them, and the mean of its own loss of them."""
    from moot.training.data.examples import Pair, Rollout, Said
    from moot.training.methods.dpo import DPO
    from moot.training.policy_gradient.objective import Objective

    parts = zip(batch.prompts, batch.completions, strict=True)
    said = [Said((), "", tuple(reply), tuple(asked)) for asked, reply in parts]
    half = len(said) // 2
    pairs = [
        Pair("pair", (0, 1), ("a", "b"), (), chosen, rejected)
        for chosen, rejected in zip(said[:half], said[half:], strict=True)
    ]
    rollouts = [
        Rollout("group", i, 1, "a", "w", 0, one, 0.0, advantage)
        for i, (one, advantage) in enumerate(zip(said, batch.advantages, strict=True))
    ]
    dpo, objective = DPO(beta=BETA), Objective(kl=0.0)

    def mean(scores: Scores, packed: Rows) -> Tensor:
        if batch.preferences:
            return dpo.loss(scores, packed, pairs)[0].mean()
        return objective.loss(scores, packed, rollouts)[0].mean()

    return said, mean
