"""Every credit rule against numbers worked out by hand."""

from typing import Literal

import pytest
import torch

from moot.training.policy_gradient.credit import (
    EPS,
    alike,
    batch_scaled,
    generalised,
    group_advantage,
    overlong,
)

ONE_RIGHT = torch.tensor([1.0, 0.0, 0.0, 0.0])
"""Mean 1/4; squared deviations 9/16 + 3/16 = 12/16; unbiased variance 12/16/3 = 1/4; std 1/2."""


@pytest.mark.parametrize(
    ("baseline", "scale", "right", "wrong"),
    [
        ("group", True, 1.5, -0.5),  # (1 - 1/4) / ½; -1/4 / ½
        ("group", False, 0.75, -0.25),  # Dr. GRPO's
        ("others", False, 1.0, -1 / 3),  # RLOO's: the others' mean is 0 of the right one, else 1/3
        ("others", True, 2.0, -2 / 3),
        ("none", False, 1.0, 0.0),
        ("none", True, 2.0, 0.0),
    ],
)
def test_group_advantage_by_hand(
    baseline: Literal["group", "others", "none"], scale: bool, right: float, wrong: float
) -> None:
    found = group_advantage(ONE_RIGHT, baseline=baseline, scale=scale, eps=0.0)

    assert found.tolist() == pytest.approx([right, wrong, wrong, wrong], rel=1e-6)


def test_epsilon_is_added_to_the_standard_deviation() -> None:
    assert group_advantage(ONE_RIGHT)[0].item() == pytest.approx(0.75 / (0.5 + EPS), rel=1e-6)


def test_what_hardly_differs_is_not_blown_up() -> None:
    # The standard deviation is √½ of a ten-thousandth, and as much again is added.
    found = group_advantage(torch.tensor([0.0, 1e-4]))

    assert found.tolist() == pytest.approx([-0.5 / (0.5**0.5 + 1), 0.5 / (0.5**0.5 + 1)], rel=1e-4)


def test_leaving_one_out_is_the_difference_from_the_mean_of_the_others() -> None:
    rewards = torch.tensor([0.2, 0.9, -0.4, 0.5, 0.5])

    found = group_advantage(rewards, baseline="others", scale=False)

    wanted = [r - (rewards.sum() - r) / 4 for r in rewards]
    torch.testing.assert_close(found, torch.stack(wanted))


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("baseline", ["group", "others"])
@pytest.mark.parametrize("rewards", [[0.3, 0.3, 0.3], [0.1] * 7, [1.0], []])
def test_a_group_of_equals_or_of_one_teaches_exactly_nothing(
    rewards: list[float], baseline: Literal["group", "others"], scale: bool
) -> None:
    found = group_advantage(torch.tensor(rewards), baseline=baseline, scale=scale)

    assert found.tolist() == [0.0] * len(rewards)


def test_without_a_baseline_equals_keep_their_rewards() -> None:
    assert group_advantage(torch.tensor([0.5, 0.5]), baseline="none").tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("rewards", "same"), [([], True), ([2.0], True), ([1.0, 1.0], True), ([1.0, 1.0, 0.5], False)]
)
def test_alike_is_having_no_contrast(rewards: list[float], same: bool) -> None:
    assert alike(torch.tensor(rewards)) == same


def test_batch_scaled_by_hand() -> None:
    # mean 1/2; squared deviations 9/4 + 3/4 = 3; unbiased variance 1
    found = batch_scaled(torch.tensor([2.0, 0.0, 0.0, 0.0]), eps=0.0)

    assert found.tolist() == [1.5, -0.5, -0.5, -0.5]


@pytest.mark.parametrize("advantages", [[], [2.0], [2.0, 2.0, 2.0], [0.1] * 7])
def test_a_batch_without_contrast_teaches_nothing(advantages: list[float]) -> None:
    assert batch_scaled(torch.tensor(advantages)).tolist() == [0.0] * len(advantages)


# DAPO, eq. 13: with at most 20 tokens and a buffer of 8, nothing up to 12, (12 - length) / 8 up to
# 20, and -1 beyond.
@pytest.mark.parametrize(
    ("length", "penalty"),
    [(0, 0.0), (12, 0.0), (13, -0.125), (14, -0.25), (16, -0.5), (20, -1.0), (21, -1.0)],
)
def test_overlong_by_hand(length: int, penalty: float) -> None:
    assert overlong(length, most=20, buffer=8) == penalty


def test_generalised_advantages_by_hand() -> None:
    # discount = trace = ½; errors: 0 + ½·¼ - ½ = -3/8; 0 + ½·¾ - ¼ = 1/8; 1 - ¾ = 1/4.
    # Backward by ½·½ = ¼: 1/4; 1/8 + 1/16 = 3/16; -3/8 + 3/64 = -21/64.
    rewards, values = torch.tensor([0.0, 0.0, 1.0]), torch.tensor([0.5, 0.25, 0.75])

    found = generalised(rewards, values, discount=0.5, trace=0.5)

    assert found.tolist() == [-21 / 64, 3 / 16, 1 / 4]


def test_a_whole_trace_gives_the_return_less_the_value() -> None:
    # at a discount of ½; returns: 4; 2 + ½·4 = 4; 1 + ½·4 = 3
    rewards, values = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.5, 0.25, 0.75])

    found = generalised(rewards, values, discount=0.5, trace=1.0)

    assert found.tolist() == [3 - 0.5, 4 - 0.25, 4 - 0.75]


def test_no_trace_gives_one_steps_error() -> None:
    rewards, values = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([0.5, 0.25, 0.75])

    found = generalised(rewards, values, discount=1.0, trace=0.0)

    assert found.tolist() == [0.75, 2.5, 3.25]  # 1 + ¼ - ½; 2 + ¾ - ¼; 4 - ¾


def test_a_completion_without_a_token_has_no_advantages() -> None:
    assert generalised(torch.empty(0), torch.empty(0), discount=1.0, trace=1.0).tolist() == []


def test_scaled_advantages_have_a_unit_spread() -> None:
    found = group_advantage(torch.tensor([0.1, 0.9, 0.4, 0.4, 0.7]).double(), eps=0.0)

    assert found.sum().item() == pytest.approx(0, abs=1e-12)
    assert found.norm().item() == pytest.approx(2)  # 4 = 5 - 1 of squares
