"""The phases of a run: they talk, learn, are served anew, examined, and compared."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from moot.agents.engine import Engine, Resting
from moot.agents.population import Population
from moot.agents.self_reward import read as read_verdicts
from moot.agents.types import Weights
from moot.protocols.journal import Journal, Metric
from moot.protocols.stage import Stage
from moot.protocols.types import Episode
from moot.training.data.examples import Example
from moot.training.job import BEFORE
from moot.training.method import Method

from ..analysis.judges import judged, known
from ..analysis.rulings import rulings
from ..experiment import Experiment
from ..files.directory import held_out_folder, talk_folder
from ..files.ending import BASELINE, CONTROLS
from ..files.lessons import write_examples
from ..files.store import write_metrics, write_usage
from ..progress import Show
from ..tasks.split import Split
from .causes import causes
from .controls import controls
from .course import JUDGE, Lessons, kept
from .evaluation import baseline, evaluate, examinees
from .learn import current, learn, next_step, step_metrics
from .recording import Recording
from .swap import swap, tolerances
from .talk import talk, taught

SHOWN = ("held_out/accuracy", "held_out/majority", "held_out/verification_f1")
"""What is said of an evaluation as soon as it is over."""


@dataclass(frozen=True, slots=True)
class Run:
    """What a run's phases share."""

    experiment: Experiment
    split: Split
    out: Path
    journal: Journal
    show: Show
    engines: Mapping[str, Engine]
    recording: Recording | None = None

    def people(self, cycles: int) -> Population:
        """Return the population as the first `cycles` cycles left it: weights and trust."""
        newest = current(self.out, cycles)
        people = self.experiment.people().at({name: w.version for name, w in newest.items()})
        return known(people, self.journal.metrics(), cycles - 1)

    def stage(self) -> Stage:
        """Return where this run's episodes are played."""
        settings = self.experiment.stage
        stage = Stage(
            self.engines, self.journal, self.experiment.seed, settings, told=self.show.turn
        )
        return stage if self.recording is None else replace(stage, changes=self.recording.changes)

    @contextmanager
    def phase(self, name: str, total: int | None = None) -> Generator[None]:
        """Show a phase; then write down what it spent, as far as it came.

        It is not to be marked as done before: a phase that is done isn't played again, and what
        it spent would be lost.
        """
        try:
            with self.show.phase(name, total):
                yield
        finally:
            self.journal.account(self.show.ledger.close())
            write_usage(self.out / "usage.parquet", self.show.ledger.usage())

    def record(self, metrics: Iterable[Metric]) -> None:
        """Note what was measured, and write it where others read it."""
        self.journal.measure(metrics)
        write_metrics(self.out / "metrics.parquet", self.journal.metrics())


async def let_talk(run: Run, cycle: int) -> Lessons:
    """Play a cycle's tasks, measure what was said and judged, and return what it teaches."""
    experiment, folder, people = run.experiment, talk_folder(run.out, cycle), run.people(cycle)
    tasks = experiment.talked_about(cycle, run.split.train)
    turns = experiment.calls(people, tasks, cycle).total()
    with run.phase(f"cycle {cycle}: talk", turns):
        method = experiment.method
        judge = None if method is None else method.reward_model
        found: list[Example] = []
        compared: list[Example] = []

        def hear(episode: Episode) -> None:
            found.extend([] if method is None else method.examples(episode))
            compared.extend([] if judge is None else judge.examples(episode))

        await talk(
            run.stage(),
            experiment.protocol,
            tasks,
            people,
            cycle=cycle,
            out=folder,
            casting=experiment.casting,
            hear=hear,
        )
        examples = [] if method is None else gathered(method, found, folder)
        pairs = [] if judge is None else gathered(judge, compared, folder)
        write_examples(folder, cycle, [(None, examples)])
        run.record(taught(examples, cycle))
        if people.cast()["judge"]:
            so_far = [one for n in range(cycle + 1) for one in rulings(talk_folder(run.out, n))]
            run.record(judged(so_far, cycle, experiment.seed, experiment.trust))
            if not any(judge.trust for judge in run.people(cycle + 1).playing("judge")):
                run.show.line("  no judge can be told from chance: none is heard in later cycles")
    return Lessons(examples, pairs)


def gathered(method: Method[Any], found: Sequence[Example], folder: Path) -> Sequence[Example]:
    """Return what a cycle teaches, graded as far as that needs no model.

    What comes from a file may be more than memory holds: all is in a file then, below `folder`.
    """
    given = method.given()
    if given is None:
        return method.graded(found)
    return kept(chain(given, found), folder, "talk")


async def let_learn(run: Run, cycle: int, lessons: Lessons) -> None:
    """Train the learners; their new weights are on disk then, as one set."""
    before, guards, stopped = current(run.out, cycle), run.experiment.fit.guards, set[str]()
    alone = len(run.experiment.people().learners()) == 1
    for engine in run.engines.values():
        if isinstance(engine, Resting):
            await engine.rest()
    with run.phase(f"cycle {cycle}: learn"):
        folder = talk_folder(run.out, cycle)
        steps = learn(run.experiment, lessons, before, cycle=cycle, folder=folder)
        # One step at a time in a thread: between two, Ctrl-C and the engines get a hearing.
        while (taken := await next_step(steps)) is not None:
            name, step, metrics = taken
            suffix = "" if alone and name != JUDGE else f"@{name}"
            run.journal.measure(step_metrics(cycle, step, metrics, suffix))
            if step != BEFORE:
                run.show.step(step, metrics)
            if "guarded" in metrics:
                stopped.add(name)
                run.show.line(
                    f"  {name}: training ended in cycle {cycle}: {guards.broken(metrics)}"
                )
    newest = current(run.out, cycle + 1)
    for name in run.experiment.people().learners():
        if name not in stopped and (name not in newest or newest[name].version <= cycle):
            why = causes(run.journal.metrics(), cycle, "" if alone else f"@{name}")
            run.show.line(f"  {name} learnt nothing in cycle {cycle}: {why}")


async def serve(run: Run, new: Iterable[Weights]) -> None:
    """Bring `new` weights, the latest that there are, into the engines."""
    canary, people = run.split.held_out[0], run.experiment.people()
    tolerance = tolerances(run.experiment.engines, run.experiment.fit)
    proven = swap(run.engines, people, new, run.journal, canary, tolerance)
    # A run that goes on proves its weights anew; what was measured the first time stands.
    known = {(m.cycle, m.name) for m in run.journal.metrics()}
    run.journal.measure(m for m in await proven if (m.cycle, m.name) not in known)


async def examine(run: Run, version: int) -> None:
    """Let the learners answer the held-out tasks as `version` cycles have left them, once."""
    folder, people = held_out_folder(run.out, version), run.people(version)
    if run.journal.finished(folder.name):
        return
    tasks, samples = run.split.held_out, run.experiment.evaluation.samples
    who = examinees(people)
    new = current(run.out, version)
    due = run.split.measurable
    telling = {name for name, one in new.items() if due and read_verdicts(one.path)}
    calls = len(tasks) * samples * (len(who) + len(telling & who.keys()))
    with run.phase(f"held-out evaluation {version}", calls):
        metrics = await evaluate(
            run.stage(),
            tasks,
            people,
            samples,
            cycle=version,
            out=folder,
            telling=telling,
            apart=any(one.whole for one in new.values()),
        )
        run.record(metrics)
    run.journal.finish(folder.name)
    for metric in metrics:
        if metric.name in SHOWN:
            run.show.line(
                f"  {metric.name} {metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"
            )


async def play_controls(run: Run) -> None:
    """Play the protocol, and what its tokens buy without it, with the weights of the end."""
    experiment, cycles = run.experiment, run.experiment.cycles
    due = experiment.evaluation.controls and experiment.protocol.yields and run.split.measurable
    if not due or run.journal.finished(CONTROLS):
        return
    with run.phase("controls"):
        run.record(
            await controls(
                run.stage(),
                experiment.protocol,
                run.split.held_out,
                run.people(cycles),
                cycle=cycles,
                out=run.out,
                casting=experiment.casting,
            )
        )
    run.journal.finish(CONTROLS)


async def play_baseline(run: Run) -> None:
    """Let the untrained model vote on the held-out tasks, at the compute that the run spent."""
    settings, cycles = run.experiment.evaluation, run.experiment.cycles
    due = settings.baseline and current(run.out, cycles)
    if not due or run.journal.finished(BASELINE):
        return
    with run.phase("matched-compute baseline"):
        metrics = await baseline(
            run.stage(),
            run.split.held_out,
            run.experiment.people(),
            settings,
            run.journal.metrics(),
            cycle=cycles,
            out=run.out / BASELINE,
        )
        run.record(metrics)
    run.journal.finish(BASELINE)
