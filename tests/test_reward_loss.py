"""The losses of a reward model against numbers worked out by hand."""

from functools import partial
from math import log

import pytest
import torch
from torch import Tensor

from moot.training.losses.reward import bradley_terry, centring


def rewards(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_bradley_terry_by_hand() -> None:
    # apart by ln 3: chosen wins with 3/4
    chosen, rejected = rewards(log(3) + 5), rewards(5)

    loss = bradley_terry(chosen, rejected)
    loss.sum().backward()

    assert loss.tolist() == pytest.approx([log(4 / 3)])
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert chosen.grad.item() == pytest.approx(-1 / 4)  # sigmoid - 1
    assert rejected.grad.item() == pytest.approx(1 / 4)


def test_a_soft_label_is_a_cross_entropy_over_both_rewards() -> None:
    # 3/4 against 2/3: -2/3 ln 3/4 - 1/3 ln 1/4
    chosen, rejected = rewards(log(3), 0.4), rewards(0, -1.1)
    label = torch.tensor([2 / 3, 0.2], dtype=torch.float64)

    loss = bradley_terry(chosen, rejected, probability=label)

    assert loss[0].item() == pytest.approx(2 / 3 * log(4 / 3) + 1 / 3 * log(4))
    both = torch.stack([chosen, rejected], dim=1).log_softmax(1)
    torch.testing.assert_close(loss, -(label * both[:, 0] + (1 - label) * both[:, 1]))


def test_an_even_label_teaches_nothing_about_equals() -> None:
    chosen, rejected = rewards(7), rewards(7)

    bradley_terry(chosen, rejected, probability=0.5).backward()

    assert chosen.grad is not None
    assert rejected.grad is not None
    assert chosen.grad.item() == rejected.grad.item() == 0.0


def test_a_margin_is_a_lead_that_does_not_count() -> None:
    # apart by ln 6, of which ln 2 is asked for: ln 3 is left
    margin = torch.tensor([log(2), 0.0], requires_grad=True)

    loss = bradley_terry(rewards(log(6), log(6)), rewards(0, 0), margin=margin)
    loss.sum().backward()

    assert loss.tolist() == pytest.approx([log(4 / 3), log(7 / 6)])
    assert margin.grad is None


def test_labels_carry_no_gradient() -> None:
    label = torch.tensor([0.3], requires_grad=True)

    bradley_terry(rewards(1), rewards(2), probability=label).backward()

    assert label.grad is None


def test_gradients_are_those_of_the_value() -> None:
    inputs = rewards(0.3, -1.2, 4), rewards(-0.4, 0.9, 5.5)

    assert torch.autograd.gradcheck(bradley_terry, inputs)
    assert torch.autograd.gradcheck(partial(bradley_terry, probability=0.7, margin=0.5), inputs)
    assert torch.autograd.gradcheck(centring, inputs)


@pytest.mark.parametrize("apart", [1e4, -1e4])
@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_values_and_gradients_stay_finite_far_out(apart: float, probability: float) -> None:
    chosen = torch.tensor([apart], requires_grad=True)

    loss = bradley_terry(chosen, -chosen.detach(), probability=probability)
    (loss + centring(chosen, -chosen.detach())).backward()

    assert loss.isfinite().all()
    assert chosen.grad is not None
    assert chosen.grad.isfinite().all()


def test_centring_pulls_the_sum_of_a_pair_to_zero() -> None:
    chosen, rejected = rewards(3, 2), rewards(-1, -2)

    loss = centring(chosen, rejected)
    loss.sum().backward()

    assert loss.tolist() == [4.0, 0.0]
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert chosen.grad.tolist() == rejected.grad.tolist() == [4.0, 0.0]  # 2(c + r) on each side
