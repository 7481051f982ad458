"""Where tasks come from: a reasoning_gym data set, a file, the experiment itself, a simulation.

To add a source: one file beside this one, and one line in `TaskSource`.
"""

from typing import Annotated

from pydantic import Field

from .gym import ReasoningGym
from .simulated import SimulatedTasks
from .table import File, Inline

TaskSource = Annotated[ReasoningGym | File | Inline | SimulatedTasks, Field(discriminator="kind")]
"""What stands under `tasks` in an experiment file."""
