"""Losses as functions of tensors: no model, no tokenizer, no settings.

Shapes: N completions, T tokens.  Log-probabilities are natural logarithms.
"""

from torch import Tensor


def policy_gradient(
    logp: Tensor,
    old: Tensor,
    advantage: Tensor,
    *,
    clip_low: float,
    clip_high: float,
) -> Tensor:
    """Return the clipped surrogate of each token (PPO, arXiv:1707.06347, eq. 7; as in GRPO).

    -min(w A, clip(w, 1 - clip_low, 1 + clip_high) A) with w = exp(logp - old).

    Args:
        logp: (N, T) under the policy.
        old: (N, T) under the policy that spoke; carries no gradient.
        advantage: (N,) of each completion; carries no gradient.
        clip_low: how far below 1 the ratio may move a token that did badly.
        clip_high: how far above 1 it may move one that did well (DAPO's clip-higher if larger).

    Returns:
        (N, T) losses; what stands under padding is for the caller to mask.
    """
    ratio = (logp - old.detach()).exp()
    gain = advantage.detach()[:, None]
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    return -(ratio * gain).minimum(clipped * gain)


def clipped_share(
    logp: Tensor, old: Tensor, advantage: Tensor, *, clip_low: float, clip_high: float
) -> Tensor:
    """Return (N, T) 1.0 where the clip of `policy_gradient` cut the gradient off, else 0.0."""
    ratio = (logp - old).exp()
    gain = advantage[:, None]
    cut = ((gain > 0) & (ratio > 1 + clip_high)) | ((gain < 0) & (ratio < 1 - clip_low))
    return cut.float()


def kl_to_anchor(logp: Tensor, anchor: Tensor) -> Tensor:
    """Return the k3 estimate of KL(policy ‖ anchor) at each token, in nats.

    exp(x) - x - 1 with x = anchor - logp: never negative, and unbiased where the policy itself
    sampled the tokens (GRPO, arXiv:2402.03300, eq. 4).

    Args:
        logp: (N, T) under the policy.
        anchor: (N, T) under the anchor; carries no gradient.
    """
    x = anchor.detach() - logp
    return x.exp() - x - 1


def sequence_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return (N,) the mean of (N, T) `values` over the True tokens of `mask`; 0 where none is."""
    kept = values.masked_fill(~mask, 0.0)  # not a product: inf under padding times 0 is nan
    return kept.sum(-1) / mask.sum(-1).clamp(min=1)
