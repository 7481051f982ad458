"""Questions that simulated agents have an opinion on."""

from typing import Literal

from pydantic import Field

from moot.agents.questions import question, truth
from moot.agents.types import Settings
from moot.protocols.verifiers import VERIFIERS

from .split import Split, divide, task


class SimulatedTasks(Settings):
    """Questions for engines of kind `simulated`."""

    kind: Literal["simulated"] = "simulated"
    options: int | None = Field(default=2, ge=2, le=8)
    """How many answers there are to choose from; `null`: the answer is any number."""
    size: int = Field(default=256, ge=2, le=1_000_000)
    """How many questions there are, including the held-out ones."""
    held_out: int = Field(default=32, ge=1)
    """How many questions are kept for evaluation."""
    per_cycle: int = Field(default=16, ge=1)
    """How many questions a cycle learns from."""

    def load(self, seed: int) -> Split:
        """Return the seed's questions, divided."""
        verifier = VERIFIERS["number" if self.options is None else "choice"]
        asked = (question(seed * self.size + i, self.options) for i in range(self.size))
        tasks = (task(text, truth(text), verifier, "{prompt}") for text in asked)
        return divide(tasks, self.held_out, self.per_cycle, seed)
