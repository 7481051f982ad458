"""Credit: from rewards to advantages."""

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import Tensor

Baseline = Literal["group", "others", "none"]
Scale = Literal["group", "batch", "none"]
EPS = 1e-4
"""Added to standard deviations."""


def group_advantage(
    rewards: Tensor, *, baseline: Baseline = "group", scale: bool = True, eps: float = EPS
) -> Tensor:
    """Return how much better than its group each completion did.

    Args:
        rewards: (G,) of the completions of one task.
        baseline: what is subtracted: the group's mean (GRPO, arXiv:2402.03300, eq. 3), the mean of
            the others (RLOO, arXiv:2402.14740, eq. 5), or nothing.
        scale: divide by the group's standard deviation (unbiased); without it this is Dr. GRPO's
            rule (arXiv:2503.20783).
        eps: added to the standard deviation.

    Returns:
        (G,) advantages.  Where there is a baseline they sum to zero, and all are exactly zero where
        all rewards are equal, and where G is 1: such a group teaches nothing.
    """
    if baseline != "none" and alike(rewards):
        return torch.zeros_like(rewards)
    centred = rewards if baseline == "none" else rewards - rewards.mean()
    if baseline == "others":
        centred = centred * (len(rewards) / (len(rewards) - 1))
    if not scale or alike(rewards):
        return centred
    return centred / (rewards.std() + eps)


def advantages(
    groups: Iterable[Mapping[int, float]], *, baseline: Baseline, scale: Scale
) -> dict[int, float]:
    """Return the advantages of several groups, each reward and each advantage under its number.

    Args:
        groups: rewards.
        baseline: what is subtracted, see `group_advantage`.
        scale: whose standard deviation they are divided by: each its group's, or that of all.
    """
    found: dict[int, float] = {}
    for group in groups:
        rewards = torch.tensor([*group.values()])
        credit = group_advantage(rewards, baseline=baseline, scale=scale == "group")
        found.update(zip(group, credit.tolist(), strict=True))
    if scale == "batch":
        scaled = batch_scaled(torch.tensor([*found.values()]))
        found = dict(zip(found, scaled.tolist(), strict=True))
    return found


def alike(rewards: Tensor) -> bool:
    """Return whether (G,) rewards show no contrast: all are equal, or there is just one."""
    return rewards.numel() < 2 or bool((rewards == rewards[0]).all())


def batch_scaled(advantages: Tensor, eps: float = EPS) -> Tensor:
    """Return (N,) advantages over their standard deviation in the whole batch, centred there.

    REINFORCE++ (arXiv:2501.03262).  Without contrast they are all zero.
    """
    if alike(advantages):
        return torch.zeros_like(advantages)
    return (advantages - advantages.mean()) / (advantages.std() + eps)


def overlong(length: int, most: int, buffer: int) -> float:
    """Return the penalty, in [-1, 0], of a completion near the most tokens it may have.

    It falls from 0 to -1 over the last `buffer` tokens (DAPO, arXiv:2503.14476, eq. 13).
    """
    return max(-1.0, min(0.0, (most - buffer - length) / buffer))


def generalised(rewards: Tensor, values: Tensor, *, discount: float, trace: float) -> Tensor:
    """Return (T,) generalised advantage estimates of one completion (arXiv:1506.02438, eq. 16).

    Args:
        rewards: (T,) after each token.
        values: (T,) expected from before each token on; after the last nothing is expected.
        discount: γ.
        trace: λ.
    """
    after = torch.cat([values[1:], values.new_zeros(1)])
    errors = rewards + discount * after - values
    found, carried = torch.zeros_like(errors), errors.new_zeros(())
    for t in reversed(range(len(errors))):
        carried = errors[t] + discount * trace * carried
        found[t] = carried
    return found
