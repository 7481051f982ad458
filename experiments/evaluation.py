"""Held-out evaluation: what the policies answer to tasks they never learnt from."""

from pydantic import Field

from moot.agents.types import Settings


class Evaluation(Settings):
    """How the policies are measured before the first cycle and after each."""

    samples: int = Field(default=4, ge=1, le=1000)
    """Answers each learning policy (one agent for each weights) gives to each held-out task."""
    baseline: bool = True
    """Whether the untrained model votes once more at the compute that the whole run spent."""
    baseline_votes: int = Field(default=64, ge=1, le=10_000)
    """The most votes the baseline casts for a task; a majority hardly moves beyond."""
