"""What a step's rows show, whatever the method: how sure, how long, how far from the start."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .data.examples import Example
from .losses.policy import importance, kl, least_kl, mean
from .model.types import Rows, Scores


def of_rows(
    scores: Scores, batch: Rows, examples: Sequence[Example], *, sampled: bool
) -> dict[str, Tensor]:
    """Return (N,) what can be said of the rows.

    The KL is estimated (k3) where it is known how likely the words were to who sampled them.  Of
    what is taught not to be said, as rejected replies, the estimate grows without bound while the
    KL doesn't: there a lower bound of it is told.

    Args:
        scores: what the policy thinks of the rows.
        batch: the rows.
        examples: all of the step.
        sampled: whether policies said them, who weren't far from this one.
    """
    with torch.no_grad():
        found = {
            "entropy": mean(scores.entropy, batch.mask),
            "length": batch.mask.sum(-1).float(),
        }
        if batch.anchor is not None and sampled and _known(examples):
            since = importance(scores.logp, _sampler(scores.logp, batch), batch.mask)
            found["kl"] = mean(since * kl(scores.logp, batch.anchor), batch.mask)
        elif batch.anchor is not None:
            found["kl_least"] = mean(least_kl(scores.logp, batch.anchor), batch.mask)
    return found


def _known(examples: Sequence[Example]) -> bool:
    """Return whether it is known how likely the words were to who sampled them.

    One policy's were as likely as before training; of others' engines tell, at temperature 1.
    """
    heats = (one.temperature for example in examples for one in example.rows)
    return len({example.speakers for example in examples}) == 1 or all(heat == 1 for heat in heats)


def _sampler(logp: Tensor, batch: Rows) -> Tensor:
    """Return (N, T) log-probabilities of the words under who sampled them, as far as is known.

    As engines say, who tell them at temperature 1; or of the policy before training, or as it is.
    """
    own = logp if batch.old is None else batch.old
    if batch.spoken is None:
        return own
    heat = torch.ones_like(own).masked_scatter(batch.mask, batch.temperature[batch.place])
    return torch.where(batch.spoken.isnan() | (heat != 1), own, batch.spoken)
