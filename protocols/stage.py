"""The stage: plays scripts, many at a time, each at its own pace."""

from pydantic import Field

from moot.agents.types import Settings


class StageSettings(Settings):
    """How episodes are played."""

    open_episodes: int = Field(default=256, ge=1, le=100_000)
    """The most episodes under way at once."""
    max_failed_episodes: int = Field(default=0, ge=0)
    """Episodes of one phase that may fail for faults that didn't pass; one more ends the run."""
