"""The objective: what its names stand for, and whom it credits."""

from dataclasses import replace
from math import log
from typing import Any

import pytest
from crediting import objective, rollout
from pydantic import ValidationError

from moot.training.data.examples import Known, Rollout
from moot.training.policy_gradient.algorithms import LIKE
from moot.training.policy_gradient.credit import EPS
from moot.training.policy_gradient.objective import Objective

LN2 = log(2)


def advantages(settings: Any, rollouts: list[Rollout]) -> list[float]:
    return [r.advantage for r in objective(settings).credited(rollouts)]


def taught(settings: Any, rollouts: list[Rollout]) -> list[bool]:
    return [r.teaches for r in objective(settings).credited(rollouts)]


# Settings.


def test_a_name_stands_for_its_settings() -> None:
    assert objective("dapo") == Objective(
        like="dapo", clip_high=0.28, mean="token", kl=0.0, cut="drop"
    )
    assert objective({"like": "dapo"}) == objective("dapo")
    assert objective({}) == objective("grpo") == Objective()


def test_what_is_said_beside_a_name_has_the_last_word() -> None:
    found = objective({"like": "rloo", "kl": 0.1, "scale": "batch"})

    assert (found.kl, found.scale) == (0.1, "batch")
    assert (found.baseline, found.ratio, found.kl_in, found.kl_by) == (
        "others",
        "sum",
        "reward",
        "k1",
    )


@pytest.mark.parametrize("name", LIKE)
def test_every_name_survives_being_written_out(name: str) -> None:
    found = objective(name)

    assert found.like == name
    assert objective(found.model_dump()) == found


@pytest.mark.parametrize(
    "settings",
    [
        "pppo",
        {"like": "pppo"},
        {"like": ["dapo"]},
        {"like": "grpo", "epsilon": 0.2},
        {"clip_low": 1.0},
        {"clip_high": 0.0},
        {"dual_clip": 1.0},
        {"kl": -0.1},
        {"budget": 0},
        {"correct": {"cap": 0.5}},
        {"kl_by": "k4"},
        7,
        None,
    ],
)
def test_what_means_nothing_is_an_error(settings: Any) -> None:
    with pytest.raises(ValidationError):
        objective(settings)


@pytest.mark.parametrize(
    ("settings", "policy", "anchor", "entropy"),
    [
        ("grpo", False, True, False),
        ("dapo", False, False, False),
        ("rloo", True, True, False),
        ({"like": "rloo", "kl": 0.0}, False, False, False),
        ({"kl": 0.0, "correct": {}}, True, False, False),
        ({"like": "gspo", "entropy": 0.01}, False, False, True),
    ],
)
def test_it_looks_only_at_what_it_needs(
    settings: Any, policy: bool, anchor: bool, entropy: bool
) -> None:
    look = objective(settings).look()

    assert (look.policy, look.anchor, look.entropy, look.old) == (policy, anchor, entropy, True)


# Credit.


def test_a_group_is_a_round_of_an_episode() -> None:
    # each pair is apart by 1: ½ from its mean, over a standard deviation of 1/√2
    spread = 0.5 / (0.5**0.5 + EPS)
    batch = [
        rollout(1.0),
        rollout(5.0, round=2),
        rollout(7.0, episode="f"),
        rollout(0.0),
        rollout(6.0, round=2),
        rollout(8.0, episode="f"),
    ]

    found = advantages("grpo", batch)

    assert found == pytest.approx([spread, -spread, -spread, -spread, spread, spread], rel=1e-6)


def test_only_advantage_and_teaches_change() -> None:
    batch = [rollout(1.0, turn=3, judges=(4, 5)), rollout(0.0, turn=4)]

    found = objective("dr_grpo").credited(batch)

    assert found == [replace(batch[0], advantage=0.5), replace(batch[1], advantage=-0.5)]


def test_a_frozen_agents_reply_counts_in_the_group_and_teaches_nobody() -> None:
    # the mean is 1/2 with it, and would be 1/4 of the others' alone
    batch = [rollout(0.5), rollout(0.0), rollout(1.0, weights=None)]
    settings = {"like": "dr_grpo", "kl": 0.0}

    assert advantages(settings, batch) == [0.0, -0.5, 0.5]
    # the first, at the mean, has no gradient and counts in a step's mean
    assert taught(settings, batch) == [True, True, False]


def test_equal_rewards_teach_only_where_the_loss_has_more_than_rewards() -> None:
    equals = [rollout(0.7), rollout(0.7)]

    assert advantages("grpo", equals) == [0.0, 0.0]
    assert taught({"kl": 0.0}, equals) == [False, False]
    assert taught({"kl": 0.1}, equals) == [True, True]
    assert taught({"kl": 0.1, "kl_in": "reward"}, equals) == [False, False]
    assert taught({"kl": 0.0, "entropy": 0.01}, equals) == [True, True]


def test_a_reply_without_a_reward_stays_as_it_is_and_in_no_group() -> None:
    batch = [rollout(None, advantage=9.0), rollout(1.0), rollout(0.0), rollout(None)]

    found = objective({"like": "dr_grpo"}).credited(batch)

    assert [found[0], found[3]] == [batch[0], batch[3]]
    assert [r.advantage for r in found[1:3]] == [0.5, -0.5]


@pytest.mark.parametrize("name", LIKE)
def test_nothing_is_credited_to_nobody(name: str) -> None:
    alone = [rollout(None)]

    assert objective(name).credited([]) == []
    assert objective(name).credited(alone) == alone


def test_what_ran_into_its_most_tokens_may_be_dropped_and_still_counts_in_the_group() -> None:
    batch = [rollout(1.0, finish="length"), rollout(0.0)]

    assert taught({"cut": "drop", "kl": 0.1}, batch) == [False, True]
    assert taught({"cut": "keep", "kl": 0.1}, batch) == [True, True]
    assert advantages({"like": "dr_grpo", "cut": "drop"}, batch) == [0.5, -0.5]


def test_the_overlong_penalty_by_hand() -> None:
    # over the last 4 of at most 8 tokens: 6 tokens lose (8 - 4 - 6) / 4 = -½, 2 nothing, and where
    # the most is not known nothing is lost; rewards ½, 1, 1: mean 5/6
    batch = [
        rollout(1.0, tokens=(9,) * 6, most=8),
        rollout(1.0, tokens=(9,) * 2, most=8),
        rollout(1.0, tokens=(9,) * 8),
    ]

    found = advantages({"like": "dr_grpo", "overlong": 4}, batch)

    assert found == pytest.approx([-1 / 3, 1 / 6, 1 / 6], rel=1e-6)
    assert advantages({"like": "dr_grpo"}, batch) == [0.0, 0.0, 0.0]


def test_the_kl_in_the_reward_by_hand() -> None:
    # summed over tokens the first is 1 + 2 = 3 nats likelier than under the anchor, the second 1
    # less: rewards 1 - ½·3 = -½ and 0 + ½ = ½; each against the other
    batch = [
        rollout(1.0, known=Known(logp=(-1.0, -1.0), anchor=(-2.0, -3.0))),
        rollout(0.0, known=Known(logp=(-3.0,), anchor=(-2.0,)), tokens=(9,)),
    ]

    assert advantages({"like": "rloo", "kl": 0.5}, batch) == [-1.0, 1.0]
    assert advantages({"like": "rloo", "kl": 0.5, "kl_in": "loss"}, batch) == [1.0, -1.0]
    assert advantages({"like": "rloo", "kl": 0.0}, batch) == [1.0, -1.0]
    #  k2: (1 + 4) / 2 and 1 / 2: rewards 1 - 1.25 and 0 - .25.
    assert advantages({"like": "rloo", "kl": 0.5, "kl_by": "k2"}, batch) == [0.0, 0.0]


def test_who_spoke_sets_nobody_apart_where_the_kl_is_in_the_reward() -> None:
    # .5 and .7 nats of the learner's own, of each group one; what the others said wasn't looked at
    own = [Known(logp=(-1.0,), anchor=(-1.5,)), Known(logp=(-1.0,), anchor=(-1.7,))]
    batch = [
        rollout(1.0, episode=name, known=known)
        for name, one in zip("ef", own, strict=True)
        for known in (one, Known(), Known())
    ]

    found = advantages({"like": "rloo", "kl": 1.0}, batch)

    # the others pay .6, the mean: the first is .1 ahead of its group, the second .1 behind
    assert found == pytest.approx([0.1, -0.05, -0.05, -0.1, 0.05, 0.05])


def test_batch_scale_by_hand() -> None:
    # without a baseline: mean ½, standard deviation 1 (squared deviations 9/4 + 3/4 = 3 over 3)
    batch = [rollout(2.0), rollout(0.0), rollout(0.0, episode="f"), rollout(0.0, episode="g")]

    found = advantages({"like": "reinforce++", "kl": 0.0}, batch)

    assert found == pytest.approx([1.5 / (1 + EPS), *[-0.5 / (1 + EPS)] * 3], rel=1e-6)


def test_batch_scale_after_a_groups_baseline_by_hand() -> None:
    # against their groups ±1 and ±2, of mean 0: 10/3 is the unbiased variance
    batch = [rollout(2.0), rollout(0.0), rollout(9.0, episode="f"), rollout(5.0, episode="f")]
    std = (10 / 3) ** 0.5 + EPS

    found = advantages({"scale": "batch"}, batch)

    assert found == pytest.approx([1 / std, -1 / std, 2 / std, -2 / std], rel=1e-6)
