"""Learn: the examples of a cycle become the next version of the weights, all of them or none."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from moot.agents.models import locate
from moot.agents.population import Agent
from moot.agents.types import Weights
from moot.protocols.journal import Metric
from moot.training.types import EVERYONE, Example, Pair, Said

from .directory import talk_folder
from .experiment import Experiment
from .store import write_examples

Step = tuple[str, int, dict[str, float]]
"""The weights' name, the step's number, and what was seen in it."""


def learn(
    experiment: Experiment,
    examples: Sequence[Example],
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
        examples: what the cycle taught, whoever is to learn it.
        before: the versions that spoke, for those that ever learnt.
        cycle: the cycle's number; what learns in it becomes version `cycle + 1`.
        folder: the cycle's folder.
    """
    models: dict[str, list[str]] = {}
    people = experiment.people()
    for name, agents in people.learners().items():
        model = experiment.engines[agents[0].engine].trains
        assert model is not None, "the experiment checks that learners' engines can train"
        models.setdefault(model, []).append(name)
    taught: list[Example] = []
    for model, names in models.items():
        yield from _train(experiment, model, names, examples, before, cycle, folder, taught)
    if taught:
        write_examples(folder, cycle, taught)
    publish(folder)


def sources(experiment: Experiment, name: str) -> frozenset[str]:
    """Return the weights whose words the weights `name` learn from."""
    learners = experiment.people().learners()
    how = {g.name: g.learns_from for g in experiment.population}[learners[name][0].group]

    def heard(agents: Sequence[Agent]) -> bool:
        return how == "all" or agents[0].group == learners[name][0].group

    if how == "own":
        return frozenset({name})
    return frozenset(other for other, agents in learners.items() if heard(agents))


def _train(
    experiment: Experiment,
    model: str,
    names: Sequence[str],
    examples: Sequence[Example],
    before: Mapping[str, Weights],
    cycle: int,
    folder: Path,
    taught: list[Example],
) -> Iterator[Step]:
    """Train the weights `names`, one after the other, on one `model` in memory."""
    from moot.agents.tokens import Tokens
    from moot.protocols.stage import seed
    from moot.training.checkpoint import Progress, read
    from moot.training.fit import fit, graded
    from moot.training.learner import Learner, base, release

    method, settings = experiment.method, experiment.fit
    assert method is not None, "the experiment checks that learners have a method"
    words = [_readable(example, experiment, model) for example in examples]
    where = locate(model)
    loaded: Any = None
    for name in names:
        heard = sources(experiment, name)

        def mine(example: Example, heard: frozenset[str] = heard) -> bool:
            return example.speakers == EVERYONE or not heard.isdisjoint(example.speakers)

        if not any(mine(example) and example.teaches for example in words):
            continue
        loaded = base(where, settings) if loaded is None else loaded
        encode, last = Tokens(where), before.get(name)
        start = Progress() if last is None else read(last.path)
        learner = Learner(
            loaded,
            settings,
            None if last is None else last.path,
            seed=seed(experiment.seed, f"adapter/{name}", 0),
            model=where,
        )
        own = graded(learner, method, words, encode, settings, mine, start.taken)
        taught += own
        steps = fit(
            learner,
            method,
            own,
            encode,
            settings,
            seed=seed(experiment.seed, f"order/{name}", cycle),
            start=start,
            folder=folder / "fit" / name,
        )
        for step, metrics in steps:
            yield name, step, metrics
        loaded = learner.close()
        del learner, steps
        release()


def _readable(example: Example, experiment: Experiment, model: str) -> Example:
    """Return the example without the token ids of another model than the one that is to learn."""

    def read(said: Said) -> Said:
        engine = experiment.engines.get(said.engine)
        if engine is not None and engine.trains == model:
            return said
        return replace(said, tokens=(), prompt_tokens=(), logprobs=())

    if isinstance(example, Pair):
        return replace(example, chosen=read(example.chosen), rejected=read(example.rejected))
    return replace(example, said=read(example.said))


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
