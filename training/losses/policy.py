"""Policy-gradient losses as functions of tensors: no model, no tokenizer, no settings.

Shapes: N completions, T tokens.  Log-probabilities are natural logarithms.  What stands under
padding is for the caller to mask, with `total` or `mean`.
"""

from typing import Literal

import torch
from torch import Tensor

FARTHEST = 20.0
"""Nats that a log-ratio is held within, as verl does: a long completion's may be infinite else."""


def importance(
    logp: Tensor, old: Tensor, mask: Tensor, level: Literal["token", "mean", "sum"] = "token"
) -> Tensor:
    """Return how much likelier each token became since it was said: the ratio of PPO and its kin.

    Args:
        logp: (N, T) under the policy.
        old: (N, T) under the policy that spoke; carries no gradient.
        mask: (N, T) True on real tokens.
        level: each token's own ratio (PPO, arXiv:1707.06347; GRPO); the geometric mean over the
            completion (GSPO, arXiv:2507.18071, eq. 7); or the completion's, which is their product
            (RLOO, arXiv:2402.14740).

    Returns:
        (N, T) ratios, all tokens of a completion alike unless `level` is `token`; within
        exp(±FARTHEST), beyond which they are constant.
    """
    change = logp - old.detach()
    if level == "mean":
        change = mean(change, mask)[:, None].expand_as(change)
    elif level == "sum":
        change = total(change, mask)[:, None].expand_as(change)
    return change.clamp(-FARTHEST, FARTHEST).exp()


def surrogate(
    ratio: Tensor,
    advantage: Tensor,
    *,
    clip_low: float,
    clip_high: float,
    dual_clip: float | None = None,
) -> Tensor:
    """Return the clipped surrogate of each token (PPO, arXiv:1707.06347, eq. 7).

    -min(w A, clip(w, 1 - clip_low, 1 + clip_high) A), and where A < 0 no more than -dual_clip · A
    (arXiv:1912.09729, eq. 5).

    Args:
        ratio: (N, T) w, as `importance` gives it.
        advantage: (N,) of each completion or (N, T) of each token; carries no gradient.
        clip_low: how far below 1 the ratio may move what did badly.
        clip_high: how far above 1 it may move what did well (DAPO's clip-higher if larger).
        dual_clip: above 1; the ratio beyond which what did badly is left alone.
    """
    gain = _by_token(advantage)
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    loss = -(ratio * gain).minimum(clipped * gain)
    if dual_clip is None:
        return loss
    return torch.where(gain < 0, loss.minimum(-dual_clip * gain), loss)


def clipped(ratio: Tensor, advantage: Tensor, *, clip_low: float, clip_high: float) -> Tensor:
    """Return (N, T) 1.0 where the clip of `surrogate` cut the gradient off, else 0.0."""
    gain = _by_token(advantage)
    cut = ((gain > 0) & (ratio > 1 + clip_high)) | ((gain < 0) & (ratio < 1 - clip_low))
    return cut.float()


def kl(logp: Tensor, anchor: Tensor, estimator: Literal["k1", "k2", "k3"] = "k3") -> Tensor:
    """Return an estimate of KL(policy ‖ anchor) at each token, in nats.

    With x = anchor - logp: k1 = -x, k2 = x² / 2, k3 = exp(x) - x - 1.  k1 and k3 are unbiased where
    the policy itself sampled the tokens, and k3 is never negative; of the gradients only k2's is
    the KL's.  (k3: GRPO, arXiv:2402.03300, eq. 4.)

    Args:
        logp: (N, T) under the policy.
        anchor: (N, T) under the anchor; carries no gradient.
        estimator: which.
    """
    x = anchor.detach() - logp
    if estimator == "k1":
        return -x
    return x.square() / 2 if estimator == "k2" else x.exp() - x - 1


def least_kl(logp: Tensor, anchor: Tensor) -> Tensor:
    """Return a lower bound of KL(policy ‖ anchor) at each token, in nats, whoever said it.

    It is the KL of two outcomes, the token or any other, which is never more than that of all of
    them (data processing inequality), nor less than 0.  (The binary KL of DPPO, arXiv:2602.04879.)

    Args:
        logp: (N, T) under the policy.
        anchor: (N, T) under the anchor.
    """
    rest, anchors = _other(logp), _other(anchor)
    return logp.exp() * (logp - anchor) + rest.exp() * (rest - anchors)


def correction(
    old: Tensor,
    spoken: Tensor,
    mask: Tensor,
    *,
    level: Literal["token", "sequence"],
    how: Literal["truncate", "mask"],
    cap: float,
) -> Tensor:
    """Return what a token's loss is multiplied by because another computation sampled it.

    An engine's log-probabilities differ from the trainer's, in 16 bits visibly, and another agent's
    words were sampled by other weights altogether.  exp(old - spoken) makes up for it in the mean;
    beyond `cap` it is cut to it (TIS) or the token or completion is left out (masked).

    Args:
        old: (N, T) log-probabilities as the trainer computes them for the policy that is to learn.
        spoken: (N, T) as the engine said when it sampled.
        mask: (N, T) True on real tokens.
        level: of each token, or of the completion.
        how: `truncate` or `mask`.
        cap: the greatest factor.

    Returns:
        (N, T) factors without gradient.
    """
    gap = (old - spoken).detach()
    if level == "sequence":
        gap = total(gap, mask)[:, None].expand_as(gap)
    factor = gap.exp()
    return factor.clamp(max=cap) if how == "truncate" else factor.masked_fill(factor > cap, 0.0)


def value(values: Tensor, old: Tensor, returns: Tensor, *, clip: float) -> Tensor:
    """Return the clipped squared error of a value head (PPO; as in arXiv:2005.12729, section 3).

    Args:
        values: (N, T) what the head expects from before each token on.
        old: (N, T) what it expected before training; carries no gradient.
        returns: (N, T) what came; carries no gradient.
        clip: how far from `old` the prediction may move.
    """
    held = old.detach() + (values - old.detach()).clamp(-clip, clip)
    target = returns.detach()
    return (values - target).square().maximum((held - target).square()) / 2


def total(values: Tensor, mask: Tensor) -> Tensor:
    """Return (N,) the sum of (N, T) `values` over the True tokens of `mask`."""
    return values.masked_fill(~mask, 0.0).sum(-1)  # not a product: inf under padding times 0 is nan


def mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return (N,) the mean of (N, T) `values` over the True tokens of `mask`; 0 where none is."""
    return total(values, mask) / mask.sum(-1).clamp(min=1)


def _other(logp: Tensor) -> Tensor:
    """Return the log-probability of any other token; float32 can't tell it from 1e-6 on."""
    return logp.clamp(max=-1e-6).expm1().neg().log()


def _by_token(advantage: Tensor) -> Tensor:
    found = advantage.detach()
    return found if found.dim() == 2 else found[:, None]
