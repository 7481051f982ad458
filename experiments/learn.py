"""Learn: the examples of a cycle become the next version of the weights, all of them or none."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from moot.agents.models import locate
from moot.agents.types import Weights
from moot.protocols.journal import Metric
from moot.training.types import Rollout

from .directory import talk_folder
from .experiment import Experiment

Step = tuple[str, int, dict[str, float]]
"""The weights' name, the step's number, and what was seen in it."""


def learn(
    experiment: Experiment,
    examples: Sequence[Rollout],
    before: Mapping[str, Weights],
    *,
    cycle: int,
    folder: Path,
) -> Iterator[Step]:
    """Train every learning agent's weights on its own examples; yield each step as it is taken.

    Progress is kept in `folder`/fit and survives a kill.  When the last step is done the new
    versions appear together, as `folder`/weights.

    Args:
        experiment: says who learns, how and on what base model.
        examples: what the cycle taught, for all weights.
        before: the versions that spoke, for those that ever learnt.
        cycle: the cycle's number; what learns in it becomes version `cycle + 1`.
        folder: the cycle's folder.
    """
    for name, agents in experiment.people().learners().items():
        mine = [example for example in examples if example.weights == name]
        if any(example.teaches for example in mine):
            model = experiment.engines[agents[0].engine].trains
            assert model is not None, "the experiment checks that learners' engines can train"
            yield from _train(
                experiment, locate(model), mine, before.get(name), cycle, folder, name
            )
    publish(folder)


def _train(
    experiment: Experiment,
    model: Path,
    examples: Sequence[Rollout],
    before: Weights | None,
    cycle: int,
    folder: Path,
    name: str,
) -> Iterator[Step]:
    from moot.agents.tokens import Tokens
    from moot.protocols.stage import seed
    from moot.training.checkpoint import Progress, read
    from moot.training.fit import fit
    from moot.training.learner import Learner, release

    assert experiment.method is not None, "the experiment checks that learners have a method"
    start = Progress() if before is None else read(before.path)
    learner = Learner(
        model,
        experiment.fit,
        None if before is None else before.path,
        seed=seed(experiment.seed, f"adapter/{name}", 0),
    )
    steps = fit(
        learner,
        experiment.method,
        examples,
        Tokens(model),
        experiment.fit,
        seed=seed(experiment.seed, f"order/{name}", cycle),
        start=start,
        folder=folder / "fit" / name,
    )
    for step, metrics in steps:
        yield name, step, metrics
    del learner, steps
    release()


def publish(folder: Path) -> None:
    """Move the finished trainings' last checkpoints to `folder`/weights, all at once."""
    beside = folder / ".weights.part"
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for name in sorted((folder / "fit").glob("*")) if (folder / "fit").is_dir() else ():
        shutil.copytree(max(name.glob("step-*")), beside / name.name)
    beside.rename(folder / "weights")
    shutil.rmtree(folder / "fit", ignore_errors=True)


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
    """Return a step's numbers as metrics of its cycle."""
    return [
        Metric(cycle, f"train/{name}{suffix}", value, step=step) for name, value in metrics.items()
    ]
