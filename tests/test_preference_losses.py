"""Every preference loss against numbers worked out by hand.

Nearly all use one pair, c = 2 ln 3 and r = -2 ln 2 nats, at β = ½, because then the sigmoids are
fractions: of βc 3/4, of βr 1/3, of β(c - r) = ln 6 it is 6/7.
"""

from collections.abc import Callable
from functools import partial
from math import log

import pytest
import torch
from torch import Tensor

from moot.training.losses import preference as losses

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Loss] = {
    "dpo": partial(losses.dpo, beta=0.5),
    "dpo with a soft label": partial(losses.dpo, beta=0.5, probability=0.75),
    "robust": partial(losses.robust, beta=0.5, noise=0.25),
    "ipo": partial(losses.ipo, beta=0.5),
    "hinge": partial(losses.hinge, beta=0.5),
    "simpo": partial(losses.simpo, beta=0.5, gamma=log(2)),
    "exo": partial(losses.exo, beta=0.5, noise=0.25),
    "nca": partial(losses.nca, beta=0.5),
    "bco": partial(losses.bco, beta=0.5),
    "bco with a shift": partial(losses.bco, beta=0.5, shift=log(3)),
    "sppo": partial(losses.sppo, beta=0.5),
    "sppo with a soft label": partial(losses.sppo, beta=0.5, probability=0.75),
    "apo_zero": partial(losses.apo_zero, beta=0.5),
    "apo_down": partial(losses.apo_down, beta=0.5),
    "discopop": partial(losses.discopop, beta=0.5, temperature=1.0),
    "aot": partial(losses.aot, beta=0.5),
}

BY_HAND = {
    "dpo": log(7 / 6),  # -ln 6/7
    "dpo with a soft label": 3 / 4 * log(7 / 6) + 1 / 4 * log(7),  # 1 - 6/7 = 1/7
    "robust": (3 / 4 * log(7 / 6) - 1 / 4 * log(7)) / (1 / 2),  # 1 - 2·¼ = ½
    "ipo": (2 * log(6) - 1) ** 2,  # c - r = 2 ln 6; 1/2β = 1
    "hinge": 0.0,  # ln 6 > 1
    "simpo": log(4 / 3),  # ln 6 - ln 2 = ln 3
    "exo": 6 / 7 * log(8 / 7) + 1 / 7 * log(4 / 7),  # (6/7)/(3/4) = 8/7; (1/7)/(1/4) = 4/7
    "nca": log(4 / 3) + 1 / 2 * log(4) + 1 / 2 * log(3 / 2),  # sigmoid(-βc) = 1/4; of -βr 2/3
    "bco": log(2),  # 4/3 · 3/2 = 2
    "bco with a shift": log(2) + log(7 / 6),  # βc - ln 3 = 0; ln 3 - βr = ln 6
    "sppo": (2 * log(3) - 1) ** 2 + (2 * log(2) - 1) ** 2,  # ½/β = 1
    "sppo with a soft label": (2 * log(3) - 0.5) ** 2 + (2 * log(2) - 0.5) ** 2,  # ¼/β = ½
    "apo_zero": 7 / 12,  # 1 - 3/4 + 1/3
    "apo_down": 25 / 28,  # 3/4 + 1 - 6/7
    "discopop": (log(7 / 6) + 1) / 7,  # m = 6/7: 1/7 ln 7/6 + 6/7 exp(-ln 6)
    "aot": log(7 / 6),  # a batch of one is its own order
}


def nats(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def assert_finite_at_corners(loss: Loss, values: Tensor) -> None:
    """Check the value and both gradients at every two of `values`."""
    chosen, rejected = torch.cartesian_prod(values, values).unbind(1)
    chosen, rejected = chosen.clone().requires_grad_(), rejected.clone().requires_grad_()

    found = loss(chosen, rejected)
    found.sum().backward()

    for tensor in (found, chosen.grad, rejected.grad):
        assert tensor is not None
        assert tensor.isfinite().all()
        assert tensor.dtype == values.dtype


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_by_hand(name: str) -> None:
    loss = LOSSES[name](nats(2 * log(3)), nats(-2 * log(2)))

    assert loss.shape == (1,)
    assert loss.item() == pytest.approx(BY_HAND[name], abs=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_a_gradient_is_that_of_the_value(name: str) -> None:
    assert torch.autograd.gradcheck(LOSSES[name], (nats(0.3, -1.2, 4), nats(-0.4, 0.9, 5.5)))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_stay_finite_far_out(name: str, dtype: torch.dtype) -> None:
    assert_finite_at_corners(LOSSES[name], torch.tensor([1e4, 0.0, -1e4], dtype=dtype))


def test_hinge_grows_by_beta_a_nat_where_the_pair_stands_wrong() -> None:
    chosen, rejected = nats(-2 * log(2)), nats(2 * log(3))

    loss = losses.hinge(chosen, rejected, beta=0.5)
    loss.backward()

    assert loss.item() == pytest.approx(1 + log(6))
    assert chosen.grad is not None
    assert chosen.grad.item() == -0.5


def test_orpo_by_hand() -> None:
    # probabilities 3/4 and 1/3: odds 3 and 1/2, their ratio 6; -½ ln 6/7
    loss = losses.orpo(nats(log(3 / 4)), nats(log(1 / 3)), beta=0.5)

    assert loss.item() == pytest.approx(0.5 * log(7 / 6))
    assert torch.autograd.gradcheck(
        partial(losses.orpo, beta=0.5), (nats(-0.3, -2, -0.01), nats(-0.7, -1, -9))
    )


def test_orpo_is_finite_where_a_probability_is_0_or_1() -> None:
    assert_finite_at_corners(partial(losses.orpo, beta=0.5), torch.tensor([0.0, -1e-9, -1e4]))


def test_an_even_label_teaches_nothing_about_equals() -> None:
    for loss in (losses.dpo, losses.sppo):
        chosen, rejected = nats(0), nats(0)
        loss(chosen, rejected, beta=0.5, probability=0.5).backward()
        assert chosen.grad is not None
        assert rejected.grad is not None
        assert chosen.grad.item() == rejected.grad.item() == 0.0


def test_a_soft_label_is_met_where_the_policy_prefers_as_strongly() -> None:
    # sigmoid(½ · 2 ln 6) = 6/7: dpo's gradient is β(sigmoid(βD) - p), and exo is a KL of 0
    chosen, rejected = nats(2 * log(6)), nats(0)

    losses.dpo(chosen, rejected, beta=0.5, probability=6 / 7).backward()

    assert chosen.grad is not None
    assert chosen.grad.item() == pytest.approx(0, abs=1e-12)
    assert losses.exo(chosen, rejected, beta=0.5, noise=1 / 7).item() == pytest.approx(0, abs=1e-12)


def test_labels_and_shifts_may_differ_from_pair_to_pair_and_carry_no_gradient() -> None:
    chosen, rejected = nats(*[2 * log(3)] * 2), nats(*[-2 * log(2)] * 2)
    label = torch.tensor([1.0, 0.75], requires_grad=True)

    dpo = losses.dpo(chosen, rejected, beta=0.5, probability=label)
    sppo = losses.sppo(chosen, rejected, beta=0.5, probability=label)
    bco = losses.bco(chosen, rejected, beta=0.5, shift=label)
    (dpo + sppo + bco).sum().backward()

    assert dpo.tolist() == pytest.approx([BY_HAND["dpo"], BY_HAND["dpo with a soft label"]])
    assert sppo.tolist() == pytest.approx([BY_HAND["sppo"], BY_HAND["sppo with a soft label"]])
    assert label.grad is None


def test_robust_is_dpo_on_average_over_flipped_labels() -> None:
    chosen, rejected = nats(0.3, -1.2, 4), nats(-0.4, 0.9, 5.5)
    robust = partial(losses.robust, beta=0.5, noise=0.2)

    average = 0.8 * robust(chosen, rejected) + 0.2 * robust(rejected, chosen)

    torch.testing.assert_close(average, losses.dpo(chosen, rejected, beta=0.5))


def test_aot_compares_ranks_and_not_pairs() -> None:
    # sorted: (0, 2 ln 3) against (-2 ln 2, 0), which at β = ½ are apart by ln 2 and ln 3
    loss = losses.aot(nats(2 * log(3), 0), nats(0, -2 * log(2)), beta=0.5)

    assert loss.tolist() == pytest.approx([log(3 / 2), log(4 / 3)])


def test_kto_by_hand() -> None:
    # β(logratio - baseline) = ln 3: sigmoid 3/4 to be disliked, 1/4 to be liked
    logratio = nats(*[1 + 2 * log(3)] * 2)
    desirable = torch.tensor([True, False])
    baseline = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    kto = partial(losses.kto, beta=0.5, desirable_weight=2.0, undesirable_weight=4.0)

    loss = kto(logratio, desirable, baseline)
    loss.sum().backward()

    assert loss.tolist() == pytest.approx([2 / 4, 4 * 3 / 4])
    assert logratio.grad is not None
    assert logratio.grad.tolist() == pytest.approx([-2 * 3 / 32, 4 * 3 / 32])  # λβ · 3/4 · 1/4
    assert baseline.grad is None
    fixed = baseline.detach()
    assert torch.autograd.gradcheck(kto, (logratio, desirable, fixed))
    assert kto(1e4 * logratio, desirable, fixed).tolist() == [0.0, 4.0]
    assert kto(-1e4 * logratio, desirable, fixed).tolist() == [2.0, 0.0]


def test_ktos_baseline_is_a_mean_no_less_than_zero_without_gradient() -> None:
    mismatched = nats(1, 2, 6)

    assert losses.kto_baseline(mismatched).item() == 3.0
    assert losses.kto_baseline(-mismatched).item() == 0.0
    assert not losses.kto_baseline(mismatched).requires_grad
