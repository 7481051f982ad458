"""Learn: the examples of a cycle become the next version of the weights, all of them or none."""

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from moot.agents.types import Weights
from moot.agents.weights.models import locate
from moot.protocols.journal import Metric
from moot.training.data.examples import Example, is_for
from moot.training.launch import stop

from ..experiment import Experiment
from ..files.directory import talk_folder
from ..files.lessons import write_examples
from .course import GIVEN, JUDGE, WORKERS, Course, Lessons, Step, sources


def learn(
    experiment: Experiment,
    lessons: Lessons,
    before: Mapping[str, Weights],
    *,
    cycle: int,
    folder: Path,
) -> Iterator[Step]:
    """Train every learning agent's weights on what they learn from; yield each step as it is taken.

    Progress is kept in `folder`/fit and survives a kill.  When the last step is done the new
    versions appear together, as `folder`/weights, and what was taught is written as it was graded.

    Args:
        experiment: says who learns, how and on what base model.
        lessons: what the cycle taught.
        before: the versions that spoke, for those that ever learnt.
        cycle: the cycle's number; what learns in it becomes version `cycle + 1`.
        folder: the cycle's folder.
    """
    models: dict[str, list[str]] = {}
    for name, agents in experiment.people().learners().items():
        model = experiment.engines[agents[0].engine].trains
        assert model is not None, "the experiment checks that learners' engines can train"
        models.setdefault(model, []).append(name)
    taught: dict[str, Sequence[Example]] = {}
    for model, names in models.items():
        taught |= yield from Course(experiment, model, before, cycle, folder).take(names, lessons)
    if models and not experiment.fit.apart:  # where nobody learns there may be no torch
        from moot.training.memory import release

        release()  # the last base, which nobody holds now: an engine that slept wants the room
    if any(taught.values()):
        heard = {one for name in chain(*models.values()) for one in sources(experiment, name)}
        rest = (replace(e, teaches=False) for e in lessons.examples if not is_for(e, heard))
        write_examples(folder, cycle, chain(taught.items(), [(None, rest)]))
    for over in (GIVEN, f"fit-{JUDGE}", WORKERS):
        shutil.rmtree(folder / over, ignore_errors=True)
    publish(folder)


async def next_step(steps: Iterator[Step]) -> Step | None:
    """Return the next step of what learns, taken in a thread; `None`: there is none."""
    try:
        return await asyncio.to_thread(next, steps, None)
    except asyncio.CancelledError:
        stop()  # the thread may wait for a process that hangs
        raise


def check(experiment: Experiment) -> None:
    """Raise, before anything is said, what would end the first training before its first step.

    Raises:
        MootError: a learner's model has no chat template or lacks a token that the method wants,
            there are fewer GPUs than processes, or not those that are wanted, or a package is
            missing.
    """
    method, people, fit = experiment.method, experiment.people(), experiment.fit
    models = {experiment.engines[a[0].engine].trains for a in people.learners().values()}
    if method is None or not experiment.cycles or not models:
        return
    from moot.agents.embedded.tokens import Tokens
    from moot.agents.weights.pretrained import quantizes
    from moot.training.world import enough, gpus, there

    if fit.quantized:
        quantizes()
    found = gpus(fit.device)
    enough(fit.processes, found)
    there(fit.gpus, found)
    for model in sorted(filter(None, models)):
        method.looks(Tokens(locate(model)))


def publish(folder: Path) -> None:
    """Move the finished trainings' last checkpoints to `folder`/weights, all at once."""
    beside = folder / ".weights.part"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for training in sorted((folder / "fit").glob("*")):
        if last := max(training.glob("step-*"), default=None):
            shutil.copytree(last, beside / training.name, copy_function=_named)
    beside.rename(folder / "weights")
    shutil.rmtree(folder / "fit", ignore_errors=True)


def _named(file: str, too: str) -> None:
    """Call a file `too` as well; where it can't have two names, its copy.

    Nobody writes into a checkpoint that is there: the next one is new files.
    """
    try:
        os.link(file, too)
    except OSError:  # another file system, or one without links
        shutil.copy2(file, too)


def published(folder: Path) -> bool:
    """Return whether the learning of the cycle in `folder` is complete."""
    return (folder / "weights").is_dir()


def current(out: Path, cycles: int) -> dict[str, Weights]:
    """Return the newest version of each weights that the first `cycles` cycles published."""
    return {
        path.name: Weights(path.name, cycle + 1, path)
        for cycle in range(cycles)
        for path in sorted((talk_folder(out, cycle) / "weights").glob("*"))
    }


def step_metrics(cycle: int, step: int, metrics: Mapping[str, float], suffix: str) -> list[Metric]:
    """Return a step's numbers as metrics of its cycle; what comes before all steps is its own."""
    return [
        Metric(cycle, f"train/{name}{suffix}", value, step=step) for name, value in metrics.items()
    ]
