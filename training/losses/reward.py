"""What a reward model learns from a comparison: losses as functions of its scalar rewards.

Shapes: P pairs.  Losses are in nats, one a pair; the caller weighs and reduces.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def bradley_terry(
    chosen: Tensor,
    rejected: Tensor,
    *,
    probability: float | Tensor = 1.0,
    margin: float | Tensor = 0.0,
) -> Tensor:
    """Return the cross-entropy of each comparison under the Bradley-Terry model.

    -p logsigmoid(x) - (1-p) logsigmoid(-x) with x = chosen - rejected - margin.  With p = 1 this is
    the ranking loss (InstructGPT, arXiv:2203.02155, eq. 1; with a margin Llama 2, arXiv:2307.09288,
    eq. 2); with a judge's p it is RLAIF's soft label (arXiv:2309.00267), a cross-entropy between
    softmax(chosen, rejected) and (p, 1-p).

    Args:
        chosen: (P,) rewards.
        rejected: (P,) rewards.
        probability: a number or (P,), that chosen is the better; carries no gradient.
        margin: a number or (P,), how far chosen should lead; carries no gradient.
    """
    target = torch.as_tensor(probability, dtype=chosen.dtype, device=chosen.device).detach()
    lead = torch.as_tensor(margin, dtype=chosen.dtype, device=chosen.device).detach()
    x = chosen - rejected - lead
    return -target * logsigmoid(x) - (1 - target) * logsigmoid(-x)


def centring(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return (chosen + rejected)² of each pair of (P,) rewards: least where they sum to 0.

    A comparison leaves the zero of the rewards open; this auxiliary term settles it (Eisenstein et
    al., arXiv:2312.09244, eq. 2, who weigh it with 0.01).
    """
    return (chosen + rejected).square()
