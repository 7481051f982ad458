"""Losses of a preference: functions of how much likelier the policy makes a completion.

Shapes: P pairs, N completions; one loss each, which the caller weighs and reduces.

`chosen` and `rejected` are (P,) log-ratios log π(y|x) - log anchor(y|x) in nats, summed over the
completion's tokens unless a loss asks for token means; D = chosen - rejected.  Only the policy's
part of them carries a gradient: the caller computes the anchor's without one.  `beta` turns nats
into reward; the larger, the closer the policy stays to the anchor.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .reward import bradley_terry


def dpo(
    chosen: Tensor, rejected: Tensor, *, beta: float, probability: float | Tensor = 1.0
) -> Tensor:
    """Return -p logsigmoid(βD) - (1-p) logsigmoid(-βD) of each pair (DPO, arXiv:2305.18290, eq. 7).

    The Bradley-Terry loss of the implicit rewards.  On token means it is Tülu 3's length-normalised
    DPO (arXiv:2411.15124).

    Args:
        chosen: (P,) log-ratios.
        rejected: (P,) log-ratios.
        beta: reward of a nat.
        probability: p, a number or (P,), that chosen is the better; carries no gradient.  1 is DPO,
            1 - noise is conservative DPO (Mitchell 2023), a judge's probability is a soft label.
    """
    return bradley_terry(beta * chosen, beta * rejected, probability=probability)


def robust(chosen: Tensor, rejected: Tensor, *, beta: float, noise: float) -> Tensor:
    """Return DPO's loss, unbiased where labels flip with chance `noise` < ½ (arXiv:2403.00409, §3).

    [-(1-e) logsigmoid(βD) + e logsigmoid(-βD)] / (1-2e); it may be negative.
    """
    right, flipped = logsigmoid(beta * (chosen - rejected)), logsigmoid(beta * (rejected - chosen))
    return (noise * flipped - (1 - noise) * right) / (1 - 2 * noise)


def ipo(chosen: Tensor, rejected: Tensor, *, beta: float) -> Tensor:
    """Return (D - 1/2β)² of token means (IPO, arXiv:2310.12036, eq. 17, whose τ is β).

    The paper writes sums; its authors used means (so TRL reports), which keep β free of length.
    """
    return (chosen - rejected - 1 / (2 * beta)).square()


def hinge(chosen: Tensor, rejected: Tensor, *, beta: float) -> Tensor:
    """Return max(0, 1 - βD) (RSO, arXiv:2309.06657: SLiC-HF's loss, 2305.10425, on log-ratios)."""
    return (1 - beta * (chosen - rejected)).relu()


def simpo(chosen: Tensor, rejected: Tensor, *, beta: float, gamma: float) -> Tensor:
    """Return -logsigmoid(βD - γ) (SimPO, arXiv:2405.14734, eq. 6).

    Takes (P,) token means of log π, no anchor.
    """
    return bradley_terry(beta * chosen, beta * rejected, margin=gamma)


def orpo(chosen: Tensor, rejected: Tensor, *, beta: float) -> Tensor:
    """Return -β logsigmoid(log odds ratio) (ORPO, arXiv:2403.07691, eq. 7; its λ is β).

    Takes (P,) token means of log π, no anchor, and has no gradient where one is 0 up to rounding.
    Left out: the negative log-likelihood of chosen, which the caller adds (eq. 6).
    """
    return -beta * logsigmoid(_log_odds(chosen) - _log_odds(rejected))


def exo(chosen: Tensor, rejected: Tensor, *, beta: float, noise: float) -> Tensor:
    """Return KL(softmax(β chosen, β rejected) ‖ (1-noise, noise)) (EXO, arXiv:2402.00856, eq. 16).

    `noise` lies strictly between 0 and 1; the paper takes 0.001.
    """
    x = beta * (chosen - rejected)
    target = torch.tensor([1 - noise, noise], dtype=x.dtype, device=x.device).log()
    won, lost = logsigmoid(x), logsigmoid(-x)
    return won.exp() * (won - target[0]) + lost.exp() * (lost - target[1])


def nca(chosen: Tensor, rejected: Tensor, *, beta: float) -> Tensor:
    """Return -logsigmoid(βc) - ½ logsigmoid(-βc) - ½ logsigmoid(-βr), c chosen and r rejected.

    NCA for two completions (arXiv:2402.05369, §4.1): absolute rewards, so that chosen need not sink
    along with rejected.
    """
    c, r = beta * chosen, beta * rejected
    return -logsigmoid(c) - 0.5 * logsigmoid(-c) - 0.5 * logsigmoid(-r)


def bco(chosen: Tensor, rejected: Tensor, *, beta: float, shift: float | Tensor = 0.0) -> Tensor:
    """Return -logsigmoid(β chosen - δ) - logsigmoid(δ - β rejected) (BCO, arXiv:2404.04656, §4).

    `shift` is δ, in units of reward: the paper keeps a running mean of all rewards, 0 drops it.  It
    carries no gradient.  Left out: the weights for prompts that differ between the two sides.
    """
    delta = torch.as_tensor(shift, dtype=chosen.dtype, device=chosen.device).detach()
    return -logsigmoid(beta * chosen - delta) - logsigmoid(delta - beta * rejected)


def sppo(
    chosen: Tensor, rejected: Tensor, *, beta: float, probability: float | Tensor = 1.0
) -> Tensor:
    """Return (c - (p-½)/β)² + (r + (p-½)/β)² (SPPO, arXiv:2405.00675, eq. 4.7, whose η is 1/β).

    c is chosen and r rejected.  `probability` is p, a number or (P,), that chosen wins; it carries
    no gradient, and 1 is the hard label.
    """
    p = torch.as_tensor(probability, dtype=chosen.dtype, device=chosen.device).detach()
    goal = (p - 0.5) / beta
    return (chosen - goal).square() + (rejected + goal).square()


def apo_zero(chosen: Tensor, rejected: Tensor, *, beta: float) -> Tensor:
    """Return sigmoid(-β chosen) + sigmoid(β rejected) (APO-zero, arXiv:2408.06266, eq. 7).

    For chosen completions that are better than the policy's own: raise them, lower the rejected.
    """
    return (-beta * chosen).sigmoid() + (beta * rejected).sigmoid()


def apo_down(chosen: Tensor, rejected: Tensor, *, beta: float) -> Tensor:
    """Return sigmoid(β chosen) + sigmoid(-βD) (APO-down, arXiv:2408.06266, eq. 8).

    For chosen completions that are worse than the policy's own: lower them, the rejected further.
    """
    return (beta * chosen).sigmoid() + (-beta * (chosen - rejected)).sigmoid()


def discopop(chosen: Tensor, rejected: Tensor, *, beta: float, temperature: float = 0.05) -> Tensor:
    """Return (1-m)(-logsigmoid(x)) + m exp(-x), x = βD (DiscoPOP, arXiv:2406.08414, eq. 5).

    m = sigmoid(x / temperature).  Not convex: for a small temperature it rises just around D = 0.
    """
    x = beta * (chosen - rejected)
    y = x / temperature
    # One exponent in place of m times exp(-x), which is 0 times inf far below 0.
    return -(-y).sigmoid() * logsigmoid(x) + (logsigmoid(y) - x).exp()


def aot(upper: Tensor, lower: Tensor, *, beta: float) -> Tensor:
    """Return -logsigmoid(β(upper - lower)) of each rank, both sides sorted (AOT, arXiv:2406.05882).

    Asks one distribution to lie above the other, so a loss belongs to a rank in the batch and to no
    pair.  Unpaired: (P,) log-ratios of chosen and of rejected.  Paired: log π(chosen) - log
    π(rejected) as upper, the same of the anchor as lower.
    """
    return dpo(upper.sort().values, lower.sort().values, beta=beta)


def kto(
    logratio: Tensor,
    desirable: Tensor,
    baseline: Tensor,
    *,
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Tensor:
    """Return weight · sigmoid(∓β(logratio - baseline)) (KTO, arXiv:2402.01306, eq. 7).

    Minus where desirable, plus where not; between 0 and the weight.

    Args:
        logratio: (N,) log π - log anchor of single completions, summed over tokens.
        desirable: (N,) bool.
        baseline: scalar or (N,), in nats, see `kto_baseline`; carries no gradient.
        beta: reward of a nat.
        desirable_weight: λ_D of the paper.
        undesirable_weight: λ_U of the paper.
    """
    gain = beta * (logratio - baseline.detach())
    liked, disliked = desirable_weight * (-gain).sigmoid(), undesirable_weight * gain.sigmoid()
    return torch.where(desirable, liked, disliked)


def kto_baseline(mismatched: Tensor) -> Tensor:
    """Return KTO's z, an estimate of KL(π ‖ anchor): the mean of (N,) log-ratios, at least 0.

    `mismatched` are the log-ratios of completions after another task's prompt.  No gradient.
    """
    return mismatched.detach().mean().clamp(min=0)


def _log_odds(mean: Tensor) -> Tensor:
    """Return log p/(1-p) of exp(mean); p = 1, where the odds are infinite, counts as 1 - ε."""
    below = mean.clamp(max=-torch.finfo(mean.dtype).eps)
    return below - (-below.expm1()).log()
