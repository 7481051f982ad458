"""Correction: what the engine and the trainer disagree on is made up for (see `losses.policy`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from moot.agents.types import Settings

from ..model.types import Rows

if TYPE_CHECKING:
    from torch import Tensor


class Correction(Settings):
    """Makes up for what the engine and the trainer disagree on (see `losses.policy.correction`)."""

    how: Literal["truncate", "mask"] = "truncate"
    """What happens to a factor above `cap`: it is cut to `cap` (`truncate`), or what it belongs to
    is left out (`mask`)."""
    level: Literal["token", "sequence"] = "token"
    """One factor for each token, or one for each completion."""
    cap: float = Field(default=2.0, ge=1)
    """The greatest factor."""

    def factors(self, old: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return (N, T) factors of the loss and (N,) their means; 1 where no engine told any.

        Args:
            old: (N, T) log-probabilities before training, under the policy.
            rows: with what the engines said they were.
        """
        import torch

        from ..losses.policy import correction, mean

        if rows.spoken is None:
            return torch.ones_like(old), torch.ones(len(rows), device=old.device)
        factor = correction(
            old,
            torch.where(rows.spoken.isnan(), old, rows.spoken),
            rows.mask,
            level=self.level,
            how=self.how,
            cap=self.cap,
        )
        return factor, mean(factor, rows.mask)
