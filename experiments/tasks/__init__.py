"""Where tasks come from: a reasoning_gym data set, a file, the experiment itself, a simulation.

To add a source: one file beside this one, and one line in `TaskSource`.
"""

from typing import Annotated, Protocol

from pydantic import Field

from moot.agents.own_kind import OrOwn

from .gym import ReasoningGym
from .simulated import SimulatedTasks
from .split import Split
from .table import File, Inline


class Source(Protocol):
    """A source of tasks: a frozen pydantic model whose fields are its YAML keys."""

    @property
    def kind(self) -> str:
        """Its name in YAML."""
        ...

    @property
    def per_cycle(self) -> int:
        """How many tasks a cycle learns from."""
        ...

    def load(self, seed: int) -> Split:
        """Return the tasks to learn from and those to measure with, the same for the same seed.

        Raises:
            MootError: they can't be had.
        """
        ...


TaskSource = Annotated[
    ReasoningGym | File | Inline | SimulatedTasks,
    Field(discriminator="kind"),
    OrOwn("source of tasks", Source),
]
"""What stands under `tasks` in an experiment file."""
