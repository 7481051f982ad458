"""TRL's trainers of policies, the batch that they and we are given, and what must be the same.

Where TRL isn't installed, tests that import this are skipped.
"""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from moot.agents.types import Message
from moot.training.data.examples import Known, Rollout, Said
from moot.training.model.attention import KERNEL
from moot.training.model.forward import score
from moot.training.model.rows import rows
from moot.training.policy_gradient.objective import Objective

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

Batch = dict[str, Any]
Models = tuple[Any, Any, Any]
"""A policy, the anchor it has moved away from, and their tokenizer."""

PROMPTS = [(11, 12, 13, 14, 15), (21, 22)]
COMPLETIONS = [  # groups of four; some begin alike
    (31, 32, 33, 34, 35, 36),
    (31, 32, 40),
    (50,),
    (31, 60, 61, 62),
    (70, 71, 72),
    (70, 71, 72, 73, 74, 75, 76),
    (80, 81),
    (90, 91, 92, 93, 94),
]
ADVANTAGES = [1.5, -0.5, 0.25, -1.25, 0.75, -1.0, 1.0, -0.75]
REWARDS = [1.0, 0.0, 0.0, 0.0, 0.2, 0.9, 0.5, 0.5]
PAD = 0


def ours(model: Any) -> Any:
    """Return a copy of a model whose attention is that of the prefix tree."""
    copy = deepcopy(model)
    copy.set_attn_implementation(KERNEL)
    return copy


def said(prompt: tuple[int, ...], completion: tuple[int, ...], known: Known | None = None) -> Said:
    asked = (Message("user", "?"),)
    return Said(asked, "!", tokens=completion, prompt_tokens=prompt, known=known or Known())


def rollouts(words: list[Said], rewards: list[float], gains: list[float]) -> list[Rollout]:
    """Return the completions, in groups of four."""
    return [
        Rollout(
            episode=f"group {i // 4}",
            turn=i,
            round=1,
            agent=f"{i % 4}",
            weights="w",
            version=1,
            said=one,
            reward=reward,
            advantage=gain,
        )
        for i, (one, reward, gain) in enumerate(zip(words, rewards, gains, strict=True))
    ]


def logp(model: Any, words: list[Said]) -> list[Tensor]:
    """Return the log-probabilities of each completion's tokens."""
    found = rows(words)
    with torch.no_grad():
        scores = score(ours(model), found)
    return [row[mask] for row, mask in zip(scores.logp, found.mask, strict=True)]


def examples(models: Models) -> list[Rollout]:
    """Return eight completions that the policy, and the anchor, knew otherwise before."""
    words = [said(PROMPTS[i // 4], completion) for i, completion in enumerate(COMPLETIONS)]
    noise = torch.Generator().manual_seed(3)
    for i, (one, now) in enumerate(zip(words, logp(models[0], words), strict=True)):
        old, anchor = (now + 0.4 * torch.randn(now.shape, generator=noise) for _ in range(2))
        words[i] = replace(one, known=Known(tuple(old.tolist()), tuple(anchor.tolist())))
    return rollouts(words, REWARDS, ADVANTAGES)


def padded(rows: list[tuple[Any, ...]], *, left: bool = False) -> tuple[Tensor, Tensor]:
    """Return (N, T) the rows, and 1 on what is real."""
    most = max(map(len, rows))
    gaps = [[PAD] * (most - len(row)) for row in rows]
    full = [[*gap, *row] if left else [*row, *gap] for row, gap in zip(rows, gaps, strict=True)]
    real = [[1] * len(row) for row in rows]
    mask = [[*gap, *ones] if left else [*ones, *gap] for ones, gap in zip(real, gaps, strict=True)]
    return torch.tensor(full), torch.tensor(mask)


def batch(batch: list[Rollout]) -> Batch:
    """Return the same in TRL's shapes."""
    words = [rollout.said for rollout in batch]
    prompt_ids, prompt_mask = padded([one.prompt_tokens for one in words], left=True)
    completion_ids, completion_mask = padded([one.tokens for one in words])
    old, _ = padded([one.known.logp for one in words])
    return {
        "prompt_ids": prompt_ids,
        "prompt_mask": prompt_mask,
        "completion_ids": completion_ids,
        "completion_mask": completion_mask,
        "advantages": torch.tensor([rollout.advantage for rollout in batch]),
        "old_per_token_logps": old,
        "old_logps": old.sum(-1),
        "ref_per_token_logps": padded([one.known.anchor for one in words])[0],
        "num_items_in_batch": torch.tensor(sum(map(len, COMPLETIONS))),
    }


def build(name: str, models: Models, folder: Path, **named: Any) -> Any:
    """Return TRL's trainer of that name, on the CPU and without any service."""
    if name == "GRPO":
        named = {"use_bias_correction_kl": False, **named}
    plain = {"use_cpu": True, "bf16": False, "report_to": "none", "gradient_checkpointing": False}
    policy, _, tokenizer = models

    def graded(completions: list[Any], **_: Any) -> list[float]:
        return REWARDS[: len(completions)]

    trainer = getattr(trl, f"{name}Trainer")(
        model=deepcopy(policy),
        reward_funcs=graded,
        args=getattr(trl, f"{name}Config")(
            output_dir=str(folder),
            num_generations=4,
            **{"per_device_train_batch_size": 8, "max_completion_length": 8, **plain, **named},
        ),
        train_dataset=datasets.Dataset.from_list([{"prompt": "What?"}, {"prompt": "Why, then?"}]),
        processing_class=tokenizer,
    )
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    trainer.model.train()
    return trainer


def loss(settings: Any, model: Any, batch: list[Rollout], size: Tensor | None = None) -> Tensor:
    """Return our loss of the examples; over `size`, where they are a part of more."""
    objective, packed = Objective.model_validate(settings), rows([r.said for r in batch])
    scores = score(model, packed, bonus=objective.entropy > 0)
    losses, _ = objective.loss(scores, packed, batch)
    return losses.sum() / (objective.sizes(packed).sum() if size is None else size)


def assert_same(trainer: Any, their_loss: Tensor, model: Any, our_loss: Tensor) -> None:
    """Check loss and gradient of two copies of one model to 1e-5 of their size."""
    torch.testing.assert_close(our_loss, their_loss, rtol=1e-5, atol=1e-5)
    assert_same_gradient(trainer, their_loss, model, our_loss)


def assert_same_gradient(trainer: Any, their_loss: Tensor, model: Any, our_loss: Tensor) -> None:
    their_loss.backward()
    our_loss.backward()
    found, wanted = (
        torch.cat([p.grad.flatten() for p in side.parameters()]) for side in (model, trainer.model)
    )
    assert wanted.norm() > 1e-2  # or the comparison says nothing
    assert (found - wanted).norm() / wanted.norm() < 1e-5
