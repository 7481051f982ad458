"""A job: one training of one learner, said in words that another process can read."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from moot.agents.types import Settings

from .data.examples import Example, is_for
from .methods import MethodChoice
from .reward_model import RewardModel
from .settings import Fit

Step = tuple[int, dict[str, float]]
"""A step's number, and what was seen in it; `BEFORE` all steps, what was found in the examples."""
BEFORE = -1


class Job(Settings):
    """Who learns from what, how, and where the progress is kept."""

    what: Literal["train", "reward"] = "train"
    """Learn, or reward rollouts with what was learnt."""
    model: Path
    """The folder of the base model."""
    weights: Path | None
    """The version that spoke; `None`: nothing was learnt yet."""
    folder: Path
    """Where checkpoints go."""
    method: MethodChoice | RewardModel
    """Whose loss is minimised."""
    fit: Fit
    """How long, how fast, and on how many processes."""
    heard: tuple[str, ...] | None
    """The weights whose words are learnt from; `None`: all."""
    adapter_seed: int
    """Of a fresh adapter, or head."""
    order_seed: int
    """Of the order of the examples."""

    def mine(self, example: Example) -> bool:
        """Return whether the example is for this learner."""
        return self.heard is None or is_for(example, self.heard)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a job."""

    examples: Sequence[Example]
    """Those that were the learner's, graded; or rewarded."""
    moved: bool = False
    """Whether the weights are others than before."""
    base: Any = None
    """The model in memory, as it was; `None`: it isn't there, or nobody's any more."""


Do = Callable[[Job, Sequence[Example]], Generator[Step, None, Done]]
"""Does a job on what a cycle taught, yielding each step as it is taken."""
