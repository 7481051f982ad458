"""Learn: the examples of a cycle become the next version of the weights, all of them or none."""

import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moot.agents.models import locate
from moot.agents.types import Weights
from moot.protocols.journal import Metric
from moot.training.types import EVERYONE, Example, Method, Pair, Said

from .directory import talk_folder
from .experiment import Experiment
from .store import write_examples

Step = tuple[str, int, dict[str, float]]
"""The weights' name, the step's number, and what was seen in it."""
JUDGE = "reward_model"
"""What a reward model is called among weights, and its folder."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """What a cycle taught, whoever is to learn it."""

    examples: tuple[Example, ...] = ()
    """For the policies."""
    pairs: tuple[Example, ...] = ()
    """For the reward model, where there is one."""


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
    taught: list[Example] = []
    for model, names in models.items():
        taught += yield from _Course(experiment, model, before, cycle, folder).take(names, lessons)
    if taught:
        write_examples(folder, cycle, taught)
    publish(folder)


def sources(experiment: Experiment, name: str) -> frozenset[str]:
    """Return the weights whose words the weights `name` learn from."""
    learners = experiment.people().learners()
    group = learners[name][0].group
    whose = next(g.learns_from for g in experiment.population if g.name == group)
    if whose == "own":
        return frozenset({name})
    return frozenset(n for n, a in learners.items() if whose == "all" or a[0].group == group)


@dataclass(frozen=True, slots=True)
class _Course:
    """The training, in one cycle, of all weights of one model."""

    experiment: Experiment
    model: str
    before: Mapping[str, Weights]
    cycle: int
    folder: Path

    def take(self, names: Sequence[str], lessons: Lessons) -> Generator[Step, None, list[Example]]:
        """Train the weights `names`, one after the other, on one model in memory.

        Returns:
            What they were taught, as it was graded.
        """
        words = [_readable(example, self.experiment, self.model) for example in lessons.examples]
        loaded: Any = None
        if self._method.reward_model is not None and lessons.pairs:
            pairs = [_readable(pair, self.experiment, self.model) for pair in lessons.pairs]
            words, loaded = yield from self._rewarded(words, pairs)
        taught: list[Example] = []
        for name in names:
            heard = sources(self.experiment, name)

            def mine(example: Example, heard: frozenset[str] = heard) -> bool:
                return example.speakers == EVERYONE or not heard.isdisjoint(example.speakers)

            if any(mine(example) for example in words):
                own, loaded = yield from self._train(name, words, mine, loaded)
                taught += own
        return taught

    def _train(
        self, name: str, words: Sequence[Example], mine: Any, loaded: Any
    ) -> Generator[Step, None, tuple[list[Example], Any]]:
        """Train the weights `name`, and return what they were taught and the base."""
        import torch

        from moot.training.fit import fit, graded
        from moot.training.learner import release

        last = self.before.get(name)
        learner, encode, start = self._ready(name, loaded, None if last is None else last.path)
        settings = self.experiment.fit
        own = graded(learner, self._method, words, encode, settings, mine, start.taken)
        if not any(example.teaches for example in own):
            return own, learner.close()
        was = learner.fingerprint()
        steps = fit(
            learner,
            self._method,
            own,
            encode,
            settings,
            seed=self._seed(f"order/{name}", self.cycle),
            start=start,
            folder=self.folder / "fit" / name,
        )
        for step, metrics in steps:
            yield name, step, metrics
        if torch.equal(learner.fingerprint(), was):
            shutil.rmtree(self.folder / "fit" / name)  # no gradient: what spoke is the newest still
        loaded = learner.close()
        del learner, steps
        release()
        return own, loaded

    def _rewarded(
        self, words: Sequence[Example], pairs: Sequence[Example]
    ) -> Generator[Step, None, tuple[list[Example], Any]]:
        """Train the reward model, and return the examples with its rewards, and the base."""
        from moot.training.fit import fit
        from moot.training.learner import release
        from moot.training.reward_model import rewarded

        judge, settings = self._method.reward_model, self.experiment.fit
        assert judge is not None, "it is asked before"
        place = f"{JUDGE}/{self.model.replace('/', '_')}"
        done, earlier = self.folder / place, self._earlier(place)
        weights = done if done.is_dir() else earlier
        learner, encode, start = self._ready(JUDGE, None, weights, scalar=True)
        if not done.is_dir():
            progress = self.folder / f"fit-{JUDGE}"
            steps = fit(
                learner,
                judge,
                pairs,
                encode,
                settings,
                seed=self._seed(f"order/{JUDGE}", self.cycle),
                start=start,
                folder=progress,
            )
            for step, metrics in steps:
                yield JUDGE, step, metrics
            done.parent.mkdir(parents=True, exist_ok=True)
            max(progress.glob("step-*")).rename(done)
            shutil.rmtree(progress)
        found = rewarded(learner, words, encode, settings.batch_tokens)
        loaded = learner.close()
        del learner
        release()
        return self._method.graded(found), loaded

    def _ready(self, name: str, loaded: Any, weights: Path | None, *, scalar: bool = False) -> Any:
        """Return the learner, the tokenizer and where the optimiser left off."""
        from moot.agents.tokens import Tokens
        from moot.training.checkpoint import Progress, read
        from moot.training.learner import Learner, base

        where, settings = locate(self.model), self.experiment.fit
        encode = Tokens(where)
        learner = Learner(
            base(where, settings) if loaded is None else loaded,
            settings,
            weights,
            seed=self._seed(f"adapter/{name}", 0),
            model=where,
            scalar=scalar or self._method.looks(encode).scalar,
        )
        return learner, encode, Progress() if weights is None else read(weights)

    @property
    def _method(self) -> Method[Any]:
        method = self.experiment.method
        assert method is not None, "the experiment checks that learners have a method"
        return method

    def _earlier(self, place: str) -> Path | None:
        """Return where the newest reward model of the cycles before lies."""
        out = self.folder.parent
        found = [talk_folder(out, n) / place for n in range(self.cycle)]
        return next((path for path in reversed(found) if path.is_dir()), None)

    def _seed(self, what: str, number: int) -> int:
        from moot.protocols.stage import seed

        return seed(self.experiment.seed, what, number)


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
