"""The phases of a run: they talk, learn, and are served anew; `examination` has the others."""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from moot.agents.engine import Engine, Resting
from moot.agents.population import Population
from moot.agents.types import Weights
from moot.protocols.journal import Journal, Metric
from moot.protocols.stage import Stage
from moot.protocols.types import Episode
from moot.training.data.examples import Example
from moot.training.job import BEFORE

from ..analysis.judges import judged, known
from ..analysis.rulings import rulings
from ..experiment import Experiment
from ..files.directory import talk_folder
from ..files.lessons import write_examples
from ..files.store import write_metrics, write_usage
from ..progress import Show
from ..tasks.apart import Apart
from ..tasks.split import Split
from .causes import causes
from .course import JUDGE, Lessons
from .given import gathered
from .learn import current, learn, next_step, step_metrics
from .recording import Recording
from .swap import swap, tolerances
from .talk import talk, taught


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
        return known(people, self.journal.metrics(), cycles - 1, self.experiment.persons())

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
    experiment, folder = run.experiment, talk_folder(run.out, cycle)
    people = experiment.talking(run.people(cycle))
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
        apart = Apart(run.split.reserved)
        given = None if method is None else method.given()
        examples = [] if method is None else gathered(method, found, folder, apart(given))
        # A reward model learns what a file has once: then it stays as it is, or learns from talk.
        given = None if judge is None or cycle else judge.given()
        pairs = [] if judge is None else gathered(judge, compared, folder, apart(given))
        if apart.left_out:
            run.record([Metric(cycle, "talk/reserved", apart.left_out)])
            run.show.line(
                f"  {apart.left_out} rows of the file ask what is held out: they aren't learnt from"
            )
        write_examples(folder, cycle, [(None, examples)])
        run.record(taught(examples, cycle))
        if people.cast()["judge"]:
            so_far = [one for n in range(cycle + 1) for one in rulings(talk_folder(run.out, n))]
            run.record(
                judged(so_far, cycle, experiment.seed, experiment.trust, experiment.persons())
            )
            later = experiment.talking(run.people(cycle + 1))
            if not any(judge.trust for judge in later.playing("judge")):
                run.show.line("  no judge can be told from chance: none is heard in later cycles")
    return Lessons(examples, pairs)


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
            if "unshared" in metrics and not cycle:
                run.show.line(
                    f"  {name}: its model has no form in which texts share their beginnings: each "
                    "goes through it whole"
                )
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
