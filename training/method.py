"""A method says what an episode teaches and what loss teaches it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from moot.protocols.types import Episode, Signal

from .data.examples import E
from .model.types import Encoder, Rows, Scores
from .types import Look, Metrics

if TYPE_CHECKING:  # settings import this module, and `moot plan` imports no torch
    from torch import Tensor

    from .reward_model import RewardModel


class Method(Protocol[E]):
    """A way to learn: a frozen pydantic model whose fields are its YAML keys."""

    @property
    def kind(self) -> str:
        """Its name in YAML."""
        ...

    @property
    def needs(self) -> Signal | None:
        """What a protocol must yield for anything to be learnt; `None`: answers are enough."""
        ...

    @property
    def reward_model(self) -> RewardModel | None:
        """What learns to reward the rollouts that have no reward yet; `None`: nothing."""
        ...

    def given(self) -> Iterator[E] | None:
        """Yield what a file has to learn beside what episodes teach; `None`: there is no file."""
        ...

    def examples(self, episode: Episode) -> list[E]:
        """Return what one episode teaches, whoever learns from it."""
        ...

    def looks(self, encode: Encoder) -> Look:
        """Return what must be known of the examples before they are learnt from."""
        ...

    def graded(self, examples: Sequence[E], taken: int = 0) -> list[E]:
        """Return the examples, graded by what the models think of them where that is the way.

        Args:
            examples: of a cycle; those that the learner learns from have been looked at.
            taken: optimiser steps taken since the run began.
        """
        ...

    def sizes(self, examples: Sequence[E], rows: Rows) -> Tensor:
        """Return (E,) how much each example counts in the mean loss: 1, or its tokens."""
        ...

    def loss(self, policy: Scores, rows: Rows, examples: Sequence[E]) -> tuple[Tensor, Metrics]:
        """Return (E,) losses and metrics; what is minimised is Σ losses / Σ sizes of a step.

        Args:
            policy: what the policy thinks of the rows.
            rows: those of the examples: the first row of each, then the second of each, if any.
            examples: E of them.
        """
        ...
