"""What all have in common that learn from preferences: where those come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from moot.agents.beside import Beside
from moot.agents.types import Settings
from moot.protocols.types import Episode, Signal

from .data.examples import Pair
from .model.types import Rows

if TYPE_CHECKING:
    from torch import Tensor


class Preferring(Settings):
    """Learns from preferences; a method says what it makes of them."""

    file: Beside | None = None
    """Preferences to learn from in every cycle (a reward model in the first): Parquet or JSON Lines
    in TRL's columns `prompt`, `chosen` and `rejected`, or whole conversations in the latter two.
    Optional columns: `probability`, in [0.5, 1], that the chosen one is better; `margin`, by how
    much, which only reward models use; `chosen_finish` and `rejected_finish`, which are `length`
    if a reply was cut off."""
    talk: bool = True
    """Whether to learn from the protocol's preferences."""
    sure: float = Field(default=0.5, ge=0.5, le=1)
    """The least probability of a preference that is learnt from."""

    @model_validator(mode="after")
    def _has_preferences(self) -> Self:
        if self.file is None and not self.talk:
            raise ValueError("no preferences to learn from: name a `file`, or leave `talk` true")
        return self

    @property
    def needs(self) -> Signal | None:
        """Preferences, unless a file has them all."""
        return "preferences" if self.talk else None

    @property
    def reward_model(self) -> None:
        """Nothing else learns to reward."""
        return None

    def given(self) -> Iterator[Pair] | None:
        """Yield the file's preferences that are sure enough; `None`: there is no file."""
        from .data.preferences import read

        return None if self.file is None else read(Path(self.file), self.sure)

    def examples(self, episode: Episode) -> list[Pair]:
        """Return the episode's preferences, as far as they are sure enough."""
        from .data.preferences import pairs

        return pairs(episode, self.sure) if self.talk else []

    def graded(self, examples: Sequence[Pair], taken: int = 0) -> list[Pair]:
        """Return the pairs as they are."""
        return list(examples)

    def sizes(self, examples: Sequence[Pair], rows: Rows) -> Tensor:
        """Return (P,) ones: pairs count alike."""
        import torch

        return torch.ones(len(examples))
