"""A course: in one cycle, the training of all weights that learn on one model."""

import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from moot.agents.types import Weights
from moot.agents.weights.models import locate
from moot.protocols.stage import seed
from moot.training.data.examples import Example, Said
from moot.training.job import Do, Done, Job
from moot.training.job import Step as JobStep
from moot.training.launch import launched
from moot.training.method import Method
from moot.training.settings import Guards

from ..experiment import Experiment
from ..files.directory import talk_folder

Step = tuple[str, int, dict[str, float]]
"""The weights' name, the step's number, and what was seen in it."""
GIVEN = "given"
"""The folder, in a cycle's, of examples that memory may not hold."""
JUDGE = "reward_model"
"""What a reward model is called among weights, and its folder."""
WORKERS = "workers"
"""The folder, in a cycle's, of what several processes log."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """What a cycle taught, whoever is to learn it."""

    examples: Sequence[Example] = ()
    """For the policies."""
    pairs: Sequence[Example] = ()
    """For the reward model, where there is one."""


def sources(experiment: Experiment, name: str) -> frozenset[str]:
    """Return the weights whose words the weights `name` learn from."""
    learners = experiment.people().learners()
    group = learners[name][0].group
    whose = next(g.learns_from for g in experiment.population if g.name == group)
    if whose == "own":
        return frozenset({name})
    return frozenset(n for n, a in learners.items() if whose == "all" or a[0].group == group)


@dataclass(frozen=True, slots=True)
class Course:
    """The training, in one cycle, of all weights of one model."""

    experiment: Experiment
    model: str
    before: Mapping[str, Weights]
    cycle: int
    folder: Path

    def take(
        self, names: Sequence[str], lessons: Lessons
    ) -> Generator[Step, None, dict[str, Sequence[Example]]]:
        """Train the weights `names`, one after the other, on one model in memory.

        Returns:
            What each was taught, as it was graded, by name.
        """
        words = self._own_ids(lessons.examples)
        taught: dict[str, Sequence[Example]] = {}
        with self._doing() as do:
            if self._method.reward_model is not None:
                words = yield from self._rewarded(do, words, self._own_ids(lessons.pairs))
            for name in names:
                job = self._policy_job(name)
                if any(job.mine(example) for example in words):
                    done = yield from _named(name, do(job, words))
                    taught[name] = done.examples
                    if not done.moved:  # no gradient: what spoke is the newest still
                        _forget(job.folder)
        return taught

    def _doing(self) -> AbstractContextManager[Do]:
        """Return what does jobs, here or in processes of their own, while it is entered."""
        if self.experiment.fit.apart:
            return launched(self.folder / WORKERS)
        from moot.training.study import in_turn

        return nullcontext(in_turn())

    def _own_ids(self, examples: Sequence[Example]) -> Sequence[Example]:
        """Return the examples without the token ids of other models; in a file what is in one."""
        found = (readable(example, self.experiment, self.model) for example in examples)
        if isinstance(examples, list | tuple):
            return list(found)
        return kept(found, self.folder, self.model.replace("/", "_"))

    def _rewarded(
        self, do: Do, words: Sequence[Example], pairs: Sequence[Example]
    ) -> Generator[Step, None, Sequence[Example]]:
        """Train the reward model, and return the examples with its rewards.

        Without pairs the newest of the cycles before gives the rewards; where there is none yet,
        there are no rewards, and nothing is taught.
        """
        place = f"{JUDGE}/{self.model.replace('/', '_')}"
        done, progress = self.folder / place, self.folder / f"fit-{place}"
        judge = self._earlier(place)
        job = self._judge_job(judge, progress)
        if pairs and not done.is_dir():
            yield from _named(JUDGE, do(job, pairs))
            if last := max(progress.glob("step-*"), default=None):
                done.parent.mkdir(parents=True, exist_ok=True)
                last.rename(done)
            shutil.rmtree(progress, ignore_errors=True)
        judge = done if done.is_dir() else judge
        if judge is None:
            return []
        job = job.model_copy(update={"what": "reward", "weights": judge})
        found = yield from _named(JUDGE, do(job, words))
        shutil.rmtree(progress, ignore_errors=True)
        return list(found.examples)

    def _policy_job(self, name: str) -> Job:
        """Return the training of the weights `name`."""
        last = self.before.get(name)
        heard = tuple(sorted(sources(self.experiment, name)))
        job = self._job(name, self._method, last and last.path, self.folder / "fit" / name)
        return job.model_copy(update={"heard": heard})

    def _judge_job(self, weights: Path | None, folder: Path) -> Job:
        """Return the training of the reward model; guards are the policy's."""
        judge = self._method.reward_model
        assert judge is not None, "it is asked before"
        fit = self.experiment.fit.model_copy(update={"guards": Guards()})
        return self._job(JUDGE, judge, weights, folder).model_copy(update={"fit": fit})

    def _job(self, name: str, method: Any, weights: Path | None, folder: Path) -> Job:
        """Return the training of the weights `name`, on everybody's words."""
        return Job(
            model=locate(self.model),
            weights=weights,
            folder=folder,
            method=method,
            fit=self.experiment.fit,
            heard=None,
            adapter_seed=seed(self.experiment.seed, f"adapter/{name}", 0),
            order_seed=seed(self.experiment.seed, f"order/{name}", self.cycle),
        )

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


def _named(name: str, steps: Generator[JobStep, None, Done]) -> Generator[Step, None, Done]:
    """Yield a job's steps as those of the weights `name`; return what came of it."""
    while True:
        try:
            step, metrics = next(steps)
        except StopIteration as end:
            return end.value
        yield name, step, metrics


def _forget(folder: Path) -> None:
    """Remove a training's checkpoints."""
    from moot.training.checkpoint import remove

    for checkpoint in folder.glob("step-*"):
        remove(checkpoint)


def kept(examples: Iterable[Example], folder: Path, name: str) -> Sequence[Example]:
    """Return the examples, which are in a file below `folder` from now until they are learnt."""
    from moot.training.data.filed import Filed, write

    path = folder / GIVEN / f"{name}.parquet"
    write(path, examples)
    return Filed(path)


def readable(example: Example, experiment: Experiment, model: str) -> Example:
    """Return the example without the token ids of another model than the one that is to learn."""

    def read(said: Said) -> Said:
        engine = experiment.engines.get(said.engine)
        if engine is not None and engine.trains == model:
            return said
        return replace(said, tokens=(), prompt_tokens=(), logprobs=())

    return example.with_rows([read(said) for said in example.rows])
