"""A run's engines: open from its beginning, or, in a replay, as soon as one is needed."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from random import Random

from moot.agents.engine import Elsewhere, Engine, EngineSettings, Greeting
from moot.agents.errors import EngineError
from moot.agents.late import late
from moot.agents.limits.gate import Gate
from moot.agents.task import Task
from moot.agents.types import Weights
from moot.agents.weights.models import locate
from moot.protocols.journal import Journal, empty
from moot.protocols.stage import seed

from ..experiment import Experiment
from ..files.directory import JOURNAL
from ..progress import Show
from .learn import check
from .recording import Recording
from .replay import Replayed
from .swap import swap, tolerances


async def opened(
    experiment: Experiment, out: Path, show: Show, stack: AsyncExitStack
) -> Mapping[str, Engine]:
    """Return the engines, open until `stack` closes.

    Before anything is said in the run, those that are elsewhere are asked whether they let us in:
    a wrong key of a judge's is found before others have spoken for hours.  What is asked for that
    is written nowhere.  A run that goes on may not need all of them any more.
    """
    logs = out / "logs"
    logs.mkdir(exist_ok=True)
    first = empty(out / JOURNAL)
    engines: Mapping[str, EngineSettings] = experiment.engines
    with show.phase("models"):
        for settings in engines.values():
            if settings.trains is not None:
                locate(settings.trains, show.line)
        check(experiment)
    with show.phase("engines"):
        return {
            name: await stack.enter_async_context(_gated(name, experiment, logs, show, probe=first))
            for name in engines
        }


async def replayed(
    experiment: Experiment,
    out: Path,
    show: Show,
    stack: AsyncExitStack,
    recording: Recording,
    journal: Journal,
    canary: Task,
) -> Mapping[str, Engine]:
    """Return engines that say what is recorded, each opened for the first thing that isn't.

    An engine that opens late is given the newest weights then, and they are proven at it.
    """
    logs = out / "logs"
    logs.mkdir(exist_ok=True)
    people, tolerance = experiment.people(), tolerances(experiment.engines, experiment.fit)
    with show.phase("models"):
        check(experiment)  # what learns must be here; who only speaks may never be needed
    for name in recording.strangers(experiment):
        show.line(f"  engine {name} isn't as it was recorded: all is asked anew of it")

    async def one(name: str) -> Engine:
        @asynccontextmanager
        async def wake() -> AsyncGenerator[Engine]:
            show.line(f"  engine {name} is opened, for what isn't recorded")
            async with _gated(name, experiment, logs, show) as engine:
                yield engine

        async def take(engine: Engine, new: Weights) -> None:
            await swap({name: engine}, people, [new], journal, canary, tolerance)

        behind = await stack.enter_async_context(late(wake, take))
        return Replayed(name, behind, recording, show.line)

    return {name: await one(name) for name in experiment.engines}


@asynccontextmanager
async def _gated(
    name: str, experiment: Experiment, logs: Path, show: Show, *, probe: bool = False
) -> AsyncGenerator[Engine]:
    settings: EngineSettings = experiment.engines[name]
    async with AsyncExitStack() as stack:
        try:
            engine = await stack.enter_async_context(settings.open(logs, experiment.adapters(name)))
            if probe and isinstance(engine, Elsewhere):
                await engine.probe()
            if isinstance(engine, Greeting):
                show.line(f"engine {name}: {engine.greeting}")
        except EngineError as error:
            raise EngineError(f"engines.{name}: {error}") from error
        jitter = Random(seed(experiment.seed, f"gate/{name}", 0))
        limits, deadline_s = settings.limits, settings.deadline_s
        gate = Gate(name, engine, limits, jitter, deadline_s=deadline_s, tell=show.line)
        async with aclosing(gate):
            yield gate
            if gate.at_once < limits.concurrency:
                show.line(
                    f"engine {name}: asked {gate.at_once} at once in the end "
                    f"(limits.concurrency: {limits.concurrency})"
                )
