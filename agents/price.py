"""Price: what an engine's tokens cost, in whatever unit the user counts in."""

from pydantic import Field

from .types import Settings

PER = 1_000_000
"""So many tokens have a price."""


class Price(Settings):
    """What a million tokens cost.

    A plain number, without a currency: costs come out in the unit that prices are written in, and
    those of several engines are added up, so let it be the same for all.
    """

    tokens_in: float = Field(ge=0)
    """Of prompt tokens."""
    tokens_cached: float | None = Field(default=None, ge=0)
    """Of prompt tokens found in the engine's cache; by default the same as of others."""
    tokens_out: float = Field(ge=0)
    """Of completion tokens."""

    def cost(self, tokens_in: int, tokens_cached: int, tokens_out: int) -> float:
        """Return what one completion costs, or many together.

        Args:
            tokens_in: all prompt tokens, the cached among them.
            tokens_cached: how many of these the engine had read before.
            tokens_out: completion tokens.
        """
        again = self.tokens_in if self.tokens_cached is None else self.tokens_cached
        fresh = (tokens_in - tokens_cached) * self.tokens_in
        return (fresh + tokens_cached * again + tokens_out * self.tokens_out) / PER
