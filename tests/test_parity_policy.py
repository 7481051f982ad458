"""The policy-gradient objectives against TRL's own trainers: same loss, gradient and advantages.

TRL gets a tiny model and its real trainer, and its `compute_loss` is called on a batch made by
hand, or on one that it generated and graded itself.  Our side runs the packed forward over the same
tokens.  Runs where TRL is installed (`make parity`), is skipped elsewhere.

TRL's two-sided clip `delta` is our `dual_clip` wherever it is above 1 + epsilon_high, as its
documentation asks for; below that TRL's bites into what did well, and ours doesn't.  Its entropy
bonus is a mean over tokens whatever the rest is, ours is what the rest is: they are the same where
the loss is a mean over tokens.  Its KL is multiplied by the ratio unless told otherwise; while the
policy still is the one that spoke, that gradient is the one of our `kl_by: k2`.
"""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from trl_policy import (
    REWARDS,
    Models,
    assert_same,
    assert_same_gradient,
    batch,
    build,
    examples,
    logp,
    loss,
    ours,
    rollouts,
    said,
    trl,
)

from moot.training.data.examples import Known
from moot.training.model.forward import score
from moot.training.model.rows import rows
from moot.training.policy_gradient.objective import Objective

CLIP = {"clip_low": 0.2, "clip_high": 0.28}
THEIR_CLIP = {"epsilon": 0.2, "epsilon_high": 0.28}
SEQUENCE = {"loss_type": "grpo", "importance_sampling_level": "sequence"}

LOSSES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "grpo": ({"mean": "sequence"}, {"loss_type": "grpo"}),
    "dr_grpo": (
        {"mean": "budget", "budget": 9},
        {"loss_type": "dr_grpo", "max_completion_length": 9},
    ),
    "dapo": ({"mean": "token"}, {"loss_type": "dapo"}),
    "bnpo": ({"mean": "token"}, {"loss_type": "bnpo"}),
    "gspo": ({"mean": "sequence", "ratio": "mean"}, SEQUENCE),
    "grpo with a two-sided clip": (
        {"mean": "sequence", "dual_clip": 1.5},
        {"loss_type": "grpo", "delta": 1.5},
    ),
    "dapo with an entropy bonus": (
        {"mean": "token", "entropy": 0.1},
        {"loss_type": "dapo", "entropy_coef": 0.1},
    ),
}


@pytest.fixture(scope="module")
def models(tiny: Path) -> Models:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    anchor: Any = AutoModelForCausalLM.from_pretrained(tiny)
    policy = deepcopy(anchor)
    moved = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=moved)
    return policy, anchor, AutoTokenizer.from_pretrained(tiny)


def test_trl_is_the_release_compared_with() -> None:
    assert trl.__version__.startswith("1.16")


def test_the_examples_are_such_that_clips_bite_here_and_there(models: Models) -> None:
    graded = examples(models)
    packed = rows([r.said for r in graded])
    scores = score(ours(models[0]), packed)

    for ratio in ("token", "mean", "sum"):
        objective = Objective.model_validate({"ratio": ratio, **CLIP})
        _, metrics = objective.loss(scores, packed, graded)
        assert 0 < metrics["clip_fraction"].mean() < 0.8


@pytest.mark.parametrize("beta", [0.0, 0.1])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_trls(name: str, beta: float, models: Models, tmp_path: Path) -> None:
    settings, named = LOSSES[name]
    graded = examples(models)
    trainer = build("GRPO", models, tmp_path, beta=beta, **THEIR_CLIP, **named)
    their_loss = trainer.compute_loss(trainer.model, batch(graded))

    model = ours(models[0])
    our_loss = loss({"kl": beta, **CLIP, **settings}, model, graded)

    assert_same(trainer, their_loss, model, our_loss)


@pytest.mark.parametrize("name", ["grpo", "dr_grpo", "dapo"])
def test_a_loss_in_parts_is_trls(name: str, models: Models, tmp_path: Path) -> None:
    settings, named = LOSSES[name]
    graded = examples(models)
    parts = [graded[:3] + graded[7:], graded[3:7]]  # of 15 tokens and of 16
    trainer = build(
        "GRPO",
        models,
        tmp_path,
        beta=0.1,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        **THEIR_CLIP,
        **named,
    )
    their_loss = torch.stack([trainer.compute_loss(trainer.model, batch(p)) for p in parts]).sum()

    model, ours_is = ours(models[0]), {"kl": 0.1, **CLIP, **settings}
    size = Objective.model_validate(ours_is).sizes(rows([r.said for r in graded])).sum()
    our_loss = torch.stack([loss(ours_is, model, p, size) for p in parts]).sum()

    assert_same(trainer, their_loss, model, our_loss)


def test_trls_corrected_kl_has_the_gradient_of_k2(models: Models, tmp_path: Path) -> None:
    # w (exp(x) - x - 1) by logp, at w = 1: exp(x) - x - 1 + 1 - exp(x) = -x, as of x² / 2
    graded = examples(models)
    for i, one in enumerate(graded):
        view = Known(anchor=one.said.known.anchor)
        graded[i] = replace(one, said=replace(one.said, known=view), advantage=0.0)
    trainer = build("GRPO", models, tmp_path, beta=1.0, use_bias_correction_kl=True)
    their_loss = trainer.compute_loss(trainer.model, {**batch(graded), "old_per_token_logps": None})

    model = ours(models[0])
    our_loss = loss({"kl": 1.0, "kl_by": "k2", "mean": "token"}, model, graded)

    assert_same_gradient(trainer, their_loss, model, our_loss)


def test_rloos_loss_is_trls(models: Models, tmp_path: Path) -> None:
    graded = examples(models)
    trainer = build("RLOO", models, tmp_path, **THEIR_CLIP)
    their_loss = trainer.compute_loss(trainer.model, batch(graded))

    model = ours(models[0])

    assert_same(trainer, their_loss, model, loss({"like": "rloo", **CLIP}, model, graded))


@pytest.mark.parametrize(
    ("trainer_name", "settings", "named"),
    [
        ("GRPO", {"like": "grpo"}, {"beta": 1e-3, "loss_type": "grpo"}),
        (
            "GRPO",
            {"like": "dr_grpo", "budget": 8, "kl": 1e-3},
            {"beta": 1e-3, "loss_type": "dr_grpo", "scale_rewards": "none"},
        ),
        ("GRPO", {"like": "dapo"}, {"epsilon_high": 0.28}),
        ("RLOO", {"like": "rloo", "kl": 0.3}, {"beta": 0.3}),
        ("RLOO", {"like": "rloo", "scale": "batch"}, {"normalize_advantages": True}),
    ],
)
def test_from_rewards_to_the_loss_all_is_trls(
    trainer_name: str,
    settings: dict[str, Any],
    named: dict[str, Any],
    models: Models,
    tmp_path: Path,
) -> None:
    trainer = build(trainer_name, models, tmp_path, **named)
    asked = [row for row in trainer.train_dataset for _ in range(4)]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = trainer._generate_and_score_completions(asked)
    their_loss = trainer.compute_loss(trainer.model, made)

    sides = ("prompt", "completion")
    columns = [
        [
            tuple(ids[mask.bool()].tolist())
            for ids, mask in zip(made[f"{side}_ids"], made[f"{side}_mask"], strict=True)
        ]
        for side in sides
    ]
    words = [said(*both) for both in zip(*columns, strict=True)]
    views = zip(logp(models[0], words), logp(models[1], words), strict=True)
    seen = [Known(tuple(old.tolist()), tuple(anchor.tolist())) for old, anchor in views]
    words = [replace(one, known=known) for one, known in zip(words, seen, strict=True)]
    graded = Objective.model_validate(settings).credited(rollouts(words, REWARDS, [0.0] * 8))

    advantages = torch.tensor([r.advantage for r in graded])
    torch.testing.assert_close(advantages, made["advantages"], rtol=1e-5, atol=1e-5)
    model = ours(models[0])
    assert_same(trainer, their_loss, model, loss(settings, model, graded))
