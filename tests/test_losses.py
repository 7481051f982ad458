"""Every loss and credit rule against numbers worked out by hand."""

import math

import pytest
import torch

from moot.training.credit import group_advantage
from moot.training.losses.policy import clipped_share, kl_to_anchor, policy_gradient, sequence_mean

LN2 = math.log(2)


def test_group_advantage_by_hand() -> None:
    # mean 1/4; squared deviations 9/16 + 3/16 = 12/16; unbiased variance 12/16/3 = 1/4; std 1/2
    advantage = group_advantage(torch.tensor([1.0, 0.0, 0.0, 0.0]), eps=0.0)

    torch.testing.assert_close(advantage, torch.tensor([1.5, -0.5, -0.5, -0.5]))


def test_group_advantage_without_scale_is_dr_grpos() -> None:
    advantage = group_advantage(torch.tensor([1.0, 0.0, 0.0, 0.0]), scale=False)

    torch.testing.assert_close(advantage, torch.tensor([0.75, -0.25, -0.25, -0.25]))


@pytest.mark.parametrize("rewards", [[0.3, 0.3, 0.3], [1.0], []])
def test_a_group_of_equals_or_of_one_teaches_exactly_nothing(rewards: list[float]) -> None:
    assert group_advantage(torch.tensor(rewards)).tolist() == [0.0] * len(rewards)


def test_policy_gradient_of_the_policy_that_spoke_is_minus_the_advantage() -> None:
    logp = torch.tensor([[-1.0, -2.0]], requires_grad=True)

    loss = policy_gradient(logp, logp, torch.tensor([1.5]), clip_low=0.2, clip_high=0.2)
    loss.sum().backward()

    assert loss.tolist() == [[-1.5, -1.5]]
    assert logp.grad is not None
    assert logp.grad.tolist() == [[-1.5, -1.5]]  # d(-wA)/dlogp = -wA, w = 1


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (2.0, 1.0, -1.2, 0.0),  # did well and moved far: clipped at 1.2, no more gradient
        (2.0, -1.0, 2.0, 2.0),  # did badly and moved the wrong way: not clipped
        (0.5, -1.0, 0.8, 0.0),  # did badly and moved away far enough: clipped at 0.8
        (0.5, 1.0, -0.5, -0.5),  # did well and moved the wrong way: not clipped
    ],
)
def test_policy_gradient_clips_by_hand(
    ratio: float, advantage: float, loss: float, gradient: float
) -> None:
    logp = torch.tensor([[math.log(ratio)]], requires_grad=True)
    old, gain = torch.zeros(1, 1), torch.tensor([advantage])

    found = policy_gradient(logp, old, gain, clip_low=0.2, clip_high=0.2)
    found.sum().backward()

    assert found.item() == pytest.approx(loss, rel=1e-6)
    assert logp.grad is not None
    assert logp.grad.item() == pytest.approx(gradient, rel=1e-6)
    share = clipped_share(logp.detach(), old, gain, clip_low=0.2, clip_high=0.2)
    assert share.item() == float(gradient == 0)


def test_no_gradient_flows_through_advantage_or_old() -> None:
    logp = torch.zeros(1, 1, requires_grad=True)
    old = torch.zeros(1, 1, requires_grad=True)
    gain = torch.ones(1, requires_grad=True)

    policy_gradient(logp, old, gain, clip_low=0.2, clip_high=0.2).sum().backward()

    assert old.grad is None
    assert gain.grad is None


def test_kl_to_anchor_by_hand() -> None:
    # x = ln 2: exp(x) - x - 1 = 1 - ln 2
    kl = kl_to_anchor(torch.tensor([[-LN2]]), torch.tensor([[0.0]]))

    assert kl.item() == pytest.approx(1 - LN2, rel=1e-6)
    assert kl_to_anchor(torch.tensor([[-1.0]]), torch.tensor([[-1.0]])).item() == 0.0


def test_kl_estimate_is_unbiased_over_a_small_vocabulary() -> None:
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.2, 0.6])

    expected = (p * kl_to_anchor(p.log()[None], q.log()[None])[0]).sum()

    torch.testing.assert_close(expected, (p * (p / q).log()).sum())


def test_sequence_mean_by_hand_and_finite_under_a_full_mask() -> None:
    values = torch.tensor([[2.0, 4.0, torch.inf], [1.0, 1.0, 1.0]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, False, False]])

    mean = sequence_mean(values, mask)
    mean.sum().backward()

    assert mean.tolist() == [3.0, 0.0]
    assert values.grad is not None
    assert values.grad.tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
