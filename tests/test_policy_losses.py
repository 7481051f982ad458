"""Every policy-gradient loss against numbers worked out by hand."""

from math import log
from typing import Literal

import pytest
import torch
from leaves import leaf, slope

from moot.training.losses.policy import (
    clipped,
    correction,
    importance,
    kl,
    mean,
    surrogate,
    total,
    value,
)

LN2 = log(2)
LEVELS: tuple[Literal["token", "mean", "sum"], ...] = ("token", "mean", "sum")
KINDS: tuple[Literal["k1", "k2", "k3"], ...] = ("k1", "k2", "k3")
CLIP = {"clip_low": 0.2, "clip_high": 0.3}


# Two tokens became 2 and 8 times likelier; the third is padding.
#   token: 2 and 8.  mean: exp((ln 2 + ln 8) / 2) = sqrt(16) = 4.  sum: 2 · 8 = 16.
# The mean of the ratios' gradient by the first token's logp, with d exp(f)/dx = exp(f) df/dx:
#   token: 2/2 = 1, and 8/2 = 4.  mean: each ratio 4 · 1/2, so 2.  sum: 16 · 1.
@pytest.mark.parametrize(
    ("level", "ratios", "gradient"),
    [
        ("token", [2.0, 8.0], [1.0, 4.0]),
        ("mean", [4.0, 4.0], [2.0, 2.0]),
        ("sum", [16.0, 16.0], [16.0, 16.0]),
    ],
)
def test_importance_by_hand(
    level: Literal["token", "mean", "sum"], ratios: list[float], gradient: list[float]
) -> None:
    old = leaf([-3.0, -4.0, -1.0])
    logp = (old + torch.tensor([LN2, 3 * LN2, 50.0])).detach().requires_grad_()
    mask = torch.tensor([[True, True, False]])

    ratio = importance(logp, old, mask, level)
    mean(ratio, mask).sum().backward()

    assert ratio[0, :2].tolist() == pytest.approx(ratios, rel=1e-6)
    assert slope(logp)[0] == pytest.approx([*gradient, 0.0], rel=1e-6)
    assert old.grad is None


@pytest.mark.parametrize("gain", [1.0, 0.0, -1.0])
def test_a_long_completion_that_became_far_likelier_has_a_finite_gradient(gain: float) -> None:
    old = torch.full((1, 600), -1.0)
    logp = (old + 0.2).requires_grad_()

    ratio = importance(logp, old, torch.ones(1, 600).bool(), "sum")
    surrogate(ratio, torch.tensor([gain]), **CLIP).sum().backward()

    assert ratio.unique().log().tolist() == pytest.approx([20])
    assert slope(logp) == [[0.0] * 600]


def test_the_surrogate_of_the_policy_that_spoke_is_minus_the_advantage() -> None:
    logp, mask = leaf([-1.0, -2.0], [-0.5, -1.5]), torch.ones(2, 2).bool()
    gain = torch.tensor([1.5, -0.5], requires_grad=True)

    loss = surrogate(importance(logp, logp, mask), gain, **CLIP)
    loss.sum().backward()

    assert loss.tolist() == [[-1.5, -1.5], [0.5, 0.5]]
    assert slope(logp) == [[-1.5, -1.5], [0.5, 0.5]]  # d(-wA)/dlogp = -wA, w = 1
    assert gain.grad is None


@pytest.mark.parametrize(
    ("ratio", "advantage", "dual_clip", "loss", "gradient"),
    [
        (2.0, 1.0, None, -1.3, 0.0),  # did well and moved far: clipped at 1 + 0.3
        (1.25, 1.0, None, -1.25, -1.0),  # did well and moved a bit
        (0.5, -1.0, None, 0.8, 0.0),  # did badly and moved away far enough: clipped at 1 - 0.2
        (0.5, 1.0, None, -0.5, -1.0),  # did well and moved the wrong way: not clipped
        (5.0, -1.0, None, 5.0, 1.0),  # did badly and moved the wrong way: not clipped
        (5.0, -1.0, 3.0, 3.0, 0.0),  # and with a dual clip: left alone beyond 3
        (2.0, -1.0, 3.0, 2.0, 1.0),  # not yet beyond
        (0.5, -1.0, 3.0, 0.8, 0.0),  # the lower clip is as it was
        (5.0, 1.0, 3.0, -1.3, 0.0),  # and what did well is none of its business
    ],
)
def test_the_surrogate_clips_by_hand(
    ratio: float, advantage: float, dual_clip: float | None, loss: float, gradient: float
) -> None:
    moved, gain = leaf([ratio]), torch.tensor([advantage])

    found = surrogate(moved, gain, **CLIP, dual_clip=dual_clip)
    found.sum().backward()

    assert found.item() == pytest.approx(loss, rel=1e-6)
    assert slope(moved) == [[gradient]]
    if dual_clip is None:  # whose cut is not counted
        assert clipped(moved.detach(), gain, **CLIP).item() == float(gradient == 0)


def test_tokens_may_have_advantages_of_their_own() -> None:
    ratio, gain = leaf([2.0, 2.0, 0.5]), torch.tensor([[1.0, -3.0, -1.0]])

    loss = surrogate(ratio, gain, **CLIP)

    assert loss.tolist() == [pytest.approx([-1.3, 6.0, 0.8])]
    assert clipped(ratio, gain, **CLIP).tolist() == [[1.0, 0.0, 1.0]]


def test_what_earned_nothing_is_never_clipped() -> None:
    assert clipped(torch.tensor([[9.0, 0.1]]), torch.zeros(1), **CLIP).tolist() == [[0.0, 0.0]]


# Beside what the engine said the trainer's probabilities are 3 and ½ times as high in the first
# completion, 3 and 1 times in the second, whose second token is followed by padding: as wholes they
# are 3/2 and 3 times as likely.  The greatest factor is 2.
@pytest.mark.parametrize(
    ("level", "how", "factors"),
    [
        ("token", "truncate", [[2.0, 0.5, 1.0], [2.0, 1.0]]),
        ("token", "mask", [[0.0, 0.5, 1.0], [0.0, 1.0]]),
        ("sequence", "truncate", [[1.5, 1.5, 1.5], [2.0, 2.0]]),
        ("sequence", "mask", [[1.5, 1.5, 1.5], [0.0, 0.0]]),
    ],
)
def test_correction_by_hand(
    level: Literal["token", "sequence"],
    how: Literal["truncate", "mask"],
    factors: list[list[float]],
) -> None:
    spoken = leaf([-3.0, -1.0, -2.0], [-3.0, -2.0, 0.0])
    gap = torch.tensor([[3.0, 0.5, 1.0], [3.0, 1.0, 9.0]]).log()
    old = (spoken + gap).detach().requires_grad_()
    mask = torch.tensor([[True, True, True], [True, True, False]])

    found = correction(old, spoken, mask, level=level, how=how, cap=2.0)

    assert found[0].tolist() == pytest.approx(factors[0], rel=1e-6)
    assert found[1, :2].tolist() == pytest.approx(factors[1], rel=1e-6)
    assert not found.requires_grad


@pytest.mark.parametrize(
    ("now", "before", "came", "loss", "gradient"),
    [
        (1.25, 1.0, 0.0, 0.78125, 1.25),  # within the clip: 1.25² / 2
        (3.0, 1.0, 4.0, 3.125, 0.0),  # ran ahead: held at 1.5, (1.5 - 4)² / 2, no more gradient
        (3.0, 1.0, 0.0, 4.5, 3.0),  # ran the wrong way: 3² / 2
        (-1.0, 1.0, -2.0, 3.125, 0.0),  # the same downwards: held at 0.5
    ],
)
def test_value_by_hand(
    now: float, before: float, came: float, loss: float, gradient: float
) -> None:
    values, old, returns = leaf([now]), leaf([before]), leaf([came])

    found = value(values, old, returns, clip=0.5)
    found.sum().backward()

    assert found.item() == loss
    assert slope(values) == [[gradient]]
    assert old.grad is None
    assert returns.grad is None


def test_total_and_mean_by_hand_and_finite_under_a_full_mask() -> None:
    values = leaf([2.0, 4.0, torch.inf], [1.0, torch.nan, 1.0])
    mask = torch.tensor([[True, True, False], [False, False, False]])

    sums, means = total(values, mask), mean(values, mask)
    (sums + means).sum().backward()

    assert sums.tolist() == [6.0, 0.0]
    assert means.tolist() == [3.0, 0.0]
    assert slope(values) == [[1.5, 1.5, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("estimator", KINDS)
def test_a_completion_without_a_token_has_neither_loss_nor_gradient(
    level: Literal["token", "mean", "sum"], estimator: Literal["k1", "k2", "k3"]
) -> None:
    logp, mask = leaf([-1.0, -2.0]), torch.zeros(1, 2).bool()
    old = anchor = torch.tensor([[-60.0, 0.0]])

    ratio = importance(logp, old, mask, level)
    loss = surrogate(ratio, torch.ones(1), **CLIP) + kl(logp, anchor, estimator)
    mean(loss, mask).sum().backward()

    assert mean(loss, mask).item() == 0.0
    assert slope(logp) == [[0.0, 0.0]]
