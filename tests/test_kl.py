"""Every estimate of a KL, and the least that it can be, against numbers worked out by hand."""

from math import log
from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from leaves import leaf, slope
from torch import Tensor

from moot.training.losses.policy import kl, least_kl

LN2 = log(2)


# x = ln 2 at the first token: k1 = -ln 2, k2 = (ln 2)² / 2, k3 = 2 - ln 2 - 1.  At the second the
# two agree.  d/dlogp = -d/dx: k1 1, k2 -ln 2, k3 -(2 - 1).
@pytest.mark.parametrize(
    ("estimator", "nats", "gradient"),
    [("k1", -LN2, [1.0, 1.0]), ("k2", LN2**2 / 2, [-LN2, 0.0]), ("k3", 1 - LN2, [-1.0, 0.0])],
)
def test_kl_by_hand(
    estimator: Literal["k1", "k2", "k3"], nats: float, gradient: list[float]
) -> None:
    logp, anchor = leaf([-2 * LN2, -1.0]), leaf([-LN2, -1.0])

    found = kl(logp, anchor, estimator)
    found.sum().backward()

    assert found[0].tolist() == pytest.approx([nats, 0.0], rel=1e-6)
    assert slope(logp)[0] == pytest.approx(gradient, rel=1e-6)
    assert anchor.grad is None


def expected(estimator: Literal["k1", "k2", "k3"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return an estimate's mean over all words of a policy, its mean gradient, policy, anchor."""
    logits = torch.tensor([0.3, -0.7, 1.1, 0.0], dtype=torch.float64, requires_grad=True)
    anchor = torch.tensor([0.1, 0.5, 0.2, 0.2], dtype=torch.float64)
    logp = logits.log_softmax(-1)
    value = (logp.detach().exp() * kl(logp[None], anchor.log()[None], estimator)[0]).sum()
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient, logits, anchor


@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_k1_and_k3_are_the_kl_in_the_mean(estimator: Literal["k1", "k3"]) -> None:
    found, _, logits, anchor = expected(estimator)
    policy = logits.softmax(-1)

    torch.testing.assert_close(found, (policy * (policy / anchor).log()).sum().detach())


def test_of_the_gradients_only_k2s_is_the_kls_in_the_mean() -> None:
    _, by_k2, logits, anchor = expected("k2")
    policy = logits.softmax(-1)
    (wanted,) = torch.autograd.grad((policy * (policy / anchor).log()).sum(), logits)
    torch.testing.assert_close(by_k2, wanted)

    # k1: E[∇ log p] = ∇ 1 = 0.  k3: -E[(q/p - 1) ∇ log p] = -Σ q ∇ log p, that of KL(q ‖ p).
    _, by_k1, _, _ = expected("k1")
    _, by_k3, logits, _ = expected("k3")
    (other_way,) = torch.autograd.grad((anchor * -logits.log_softmax(-1)).sum(), logits)
    torch.testing.assert_close(by_k1, torch.zeros_like(by_k1))
    torch.testing.assert_close(by_k3, other_way)
    assert not torch.allclose(by_k3, wanted, rtol=0.1)


# 1/2 in place of 1/4: ½ ln 2 + ½ ln (½ / ¾).  1 in place of 1/4: ln 4, with no other word left.
def test_the_least_kl_by_hand() -> None:
    found = least_kl(torch.tensor([[-LN2, -1.0, 0.0]]), torch.tensor([[-2 * LN2, -1.0, -2 * LN2]]))

    assert found[0].tolist() == pytest.approx([log(4 / 3) / 2, 0.0, log(4)], abs=1e-4)


@given(st.integers(0, 10**6), st.sampled_from([0.1, 1.0, 10.0, 100.0]), st.integers(2, 9))
def test_no_kl_is_less_than_the_least_one(seed: int, spread: float, words: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    policy, anchor = (torch.randn(2, words, generator=draw) * spread).log_softmax(-1)

    found = least_kl(policy[None], anchor[None])[0]

    whole = (policy.exp() * (policy - anchor)).sum()
    assert found.min() >= -1e-5
    assert found.max() <= whole * 1.001 + 1e-3
    if words == 2 and spread < 2:  # one word or the other is all there is
        torch.testing.assert_close(found, whole.expand(2), atol=1e-4, rtol=1e-3)
