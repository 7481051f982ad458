"""LaSeR's self-reward and its loss against numbers worked out by hand."""

import pytest
import torch
from torch import Tensor

from moot.training.losses.self_reward import balance, self_reward, self_reward_loss


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_a_self_reward_by_hand() -> None:
    # β = 0.1, c = -23: 0.1 · (-13 + 23) = 1; as likely as under the anchor, 0; in the middle, 1/2
    found = self_reward(numbers(-13, -23, -18, -28), -23.0, 0.1)

    assert found.tolist() == pytest.approx([1.0, 0.0, 0.5, -0.5], abs=1e-12)


def test_what_the_anchor_gives_the_token_may_differ_from_answer_to_answer() -> None:
    found = self_reward(numbers(-13, -13), torch.tensor([-23.0, -13.0]), 0.1)

    assert found.tolist() == pytest.approx([1.0, 0.0], abs=1e-12)


def test_the_loss_of_three_right_and_one_wrong_by_hand() -> None:
    # right: 4/(2·3) = 2/3 each; wrong: 4/(2·1) = 2.  Errors 0, -½, -1 and ½.
    found, verified = numbers(1, 0.5, 0, 0.5), torch.tensor([1.0, 1.0, 1.0, 0.0])

    loss = self_reward_loss(found, verified, balance(verified))

    assert balance(verified).tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    assert loss.tolist() == pytest.approx([0, 1 / 6, 2 / 3, 1 / 2])


@pytest.mark.parametrize(
    "verified", [[1.0, 0.0], [1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]]
)
def test_both_classes_weigh_half_of_the_answers(verified: list[float]) -> None:
    weights, right = balance(torch.tensor(verified)), torch.tensor(verified).bool()

    assert weights[right].sum().item() == pytest.approx(len(verified) / 2)
    assert weights[~right].sum().item() == pytest.approx(len(verified) / 2)


@pytest.mark.parametrize("verdict", [1.0, 0.0])
def test_where_one_class_is_absent_the_other_weighs_half(verdict: float) -> None:
    # 3 / (2·3) each; errors of ½: 1/2 · 1/4
    verified = torch.full((3,), verdict)
    loss = self_reward_loss(numbers(0.5, 0.5, 0.5), verified, balance(verified))

    assert loss.tolist() == [1 / 8] * 3


def test_no_answer_at_all_has_no_loss() -> None:
    none = torch.empty(0)

    assert self_reward_loss(none, none, balance(none)).tolist() == []


def test_the_gradient_by_hand() -> None:
    # 2 w β (r_s - r_v): right 2 · 2/3 · 0.1 · (0, -½, -1), wrong 2 · 2 · 0.1 · ½
    probe = numbers(-13, -18, -23, -18)
    verified = numbers(1, 1, 1, 0)

    self_reward_loss(self_reward(probe, -23.0, 0.1), verified, balance(verified)).sum().backward()

    assert probe.grad is not None
    assert probe.grad.tolist() == pytest.approx([0, -1 / 15, -2 / 15, 1 / 5], rel=1e-6)
    assert verified.grad is None


def test_the_gradient_is_that_of_the_value() -> None:
    verified = torch.tensor([1.0, 0.0, 0.0])

    def loss(probe: Tensor) -> Tensor:
        return self_reward_loss(self_reward(probe, -23.0, 0.1), verified, balance(verified))

    assert torch.autograd.gradcheck(loss, (numbers(-13, -20.5, -30),))
