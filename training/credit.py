"""Credit: from the rewards of a group to the advantages of its members."""

import torch
from torch import Tensor


def group_advantage(rewards: Tensor, *, scale: bool = True, eps: float = 1e-4) -> Tensor:
    """Return how much better than its group each completion did (GRPO, arXiv:2402.03300, eq. 3).

    Args:
        rewards: (G,) of the completions of one task.
        scale: divide by the group's standard deviation (unbiased); without it this is Dr. GRPO's
            rule (arXiv:2503.20783).
        eps: added to the standard deviation.

    Returns:
        (G,) advantages, which sum to zero.  All are exactly zero where all rewards are equal, and
        where G is 1: such a group teaches nothing.
    """
    if rewards.numel() < 2 or bool((rewards == rewards[0]).all()):
        return torch.zeros_like(rewards)
    centred = rewards - rewards.mean()
    return centred / (rewards.std() + eps) if scale else centred
