"""Run: talk, learn, swap, evaluate, for as many cycles as the experiment has; or go on with it.

Every phase may be cut off anywhere.  What was said is in the journal, trainings have checkpoints,
and a phase that is done is marked; so running again does what is missing and nothing twice.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from moot.agents.gate import Gate
from moot.agents.population import Population
from moot.agents.types import Engine, Weights
from moot.protocols.journal import Journal, Metric
from moot.protocols.stage import Stage, seed
from moot.protocols.types import Episode
from moot.training.types import Rollout

from .directory import claim
from .evaluation import baseline, evaluate
from .experiment import Experiment
from .learn import current, learn, published, step_metrics
from .progress import Show
from .store import write_metrics, write_rollouts
from .swap import swap
from .talk import graded, talk
from .tasks.split import Split, for_cycle


def run(experiment: Experiment, split: Split, out: Path) -> Path:
    """Run `experiment` on its tasks in the directory `out`, or go on where a run was stopped.

    Returns:
        The report's path.

    Raises:
        MootError: something that the user can mend; nothing that was written is lost.
    """
    from .report.page import write

    show = Show()
    with claim(experiment, split, out), Journal(out / "journal.sqlite") as journal:
        if not journal.finished("run"):
            asyncio.run(_run(Run(experiment, split, out, journal, show)))
            journal.finish("run")
        write_metrics(out / "metrics.parquet", journal.metrics())
        return write(out)


@dataclass(slots=True)
class Run:
    """What a run's phases share."""

    experiment: Experiment
    split: Split
    out: Path
    journal: Journal
    show: Show
    engines: Mapping[str, Engine] = field(default_factory=dict[str, Engine])
    weights: Mapping[str, Weights] = field(default_factory=dict[str, Weights])
    """The newest version of each weights that learnt something."""

    def people(self) -> Population:
        """Return the population, speaking with the newest weights."""
        return self.experiment.people().at({w.name: w.version for w in self.weights.values()})

    def stage(self) -> Stage:
        """Return where this run's episodes are played."""
        settings = self.experiment.stage
        return Stage(
            self.engines, self.journal, self.experiment.seed, settings, told=self.show.turn
        )


async def _run(run: Run) -> None:
    cycles = run.experiment.cycles
    async with AsyncExitStack() as stack:
        run.engines = await _open(run, stack)
        evaluated = [run.journal.finished(f"held-out-{n:03d}") for n in range(cycles + 1)]
        start = max(0, evaluated.index(False) - 1) if False in evaluated else cycles
        await _serve(run, start)
        await _evaluate(run, start)
        for cycle in range(start, cycles):
            if not published(run.out, cycle):
                examples = await _talk(run, cycle)
                await _learn(run, cycle, examples)
            await _serve(run, cycle + 1)
            await _evaluate(run, cycle + 1)
        await _baseline(run)


async def _open(run: Run, stack: AsyncExitStack) -> Mapping[str, Engine]:
    logs = run.out / "logs"
    logs.mkdir(exist_ok=True)
    with run.show.phase("engines"):
        return {
            name: Gate(
                name,
                await stack.enter_async_context(settings.open(logs)),
                settings.limits,
                Random(seed(run.experiment.seed, f"gate/{name}", 0)),
                remote=settings.remote,
            )
            for name, settings in run.experiment.engines.items()
        }


async def _talk(run: Run, cycle: int) -> list[Rollout]:
    experiment = run.experiment
    tasks = for_cycle(run.split.train, experiment.tasks.per_cycle, cycle, experiment.seed)
    folder = run.out / f"cycle-{cycle:03d}"
    people = run.people()
    turns = sum(experiment.protocol.calls(people).values()) * len(tasks)
    with run.show.phase(f"cycle {cycle}: talk", turns):
        episodes = await talk(
            run.stage(), experiment.protocol, tasks, people, cycle=cycle, out=folder
        )
        method = experiment.method
        rollouts = [] if method is None else [r for e in episodes for r in method.examples(e)]
        write_rollouts(folder, cycle, rollouts)
        teach = {(r.episode, r.turn) for r in rollouts if r.teaches}
        trained = tokens(episodes, teach)
        run.journal.measure(
            [
                *graded(rollouts, cycle),
                Metric(cycle, "talk/tokens", tokens(episodes)),
                Metric(cycle, "train/tokens", trained * experiment.fit.epochs),
            ]
        )
        write_metrics(run.out / "metrics.parquet", run.journal.metrics())
    return rollouts


def tokens(episodes: Sequence[Episode], only: set[tuple[str, int]] | None = None) -> int:
    """Return the tokens, in and out, of all turns or of `only` those (episode, turn)."""
    return sum(
        turn.completion.tokens_in + turn.completion.tokens_out
        for episode in episodes
        for turn in episode.turns
        if only is None or (episode.id, turn.index) in only
    )


async def _learn(run: Run, cycle: int, examples: Sequence[Rollout]) -> None:
    folder = run.out / f"cycle-{cycle:03d}"
    before = current(run.out, cycle)
    alone = len(run.people().learners()) == 1
    with run.show.phase(f"cycle {cycle}: learn"):
        steps = learn(run.experiment, examples, before, cycle=cycle, folder=folder)
        # One step at a time in a thread: between two, Ctrl-C and the engines get a hearing.
        while (taken := await asyncio.to_thread(next, steps, None)) is not None:
            name, step, metrics = taken
            suffix = "" if alone else f"@{name}"
            run.journal.measure(step_metrics(cycle, step, metrics, suffix))
            run.show.step(step, metrics)


async def _serve(run: Run, cycles: int) -> None:
    """Bring the weights that the first `cycles` cycles published into the engines."""
    newest = current(run.out, cycles)
    new = [weights for name, weights in newest.items() if run.weights.get(name) != weights]
    canary = run.split.held_out[0]
    run.journal.measure(await swap(run.engines, run.people(), new, run.journal, canary, cycles - 1))
    run.weights = newest


async def _evaluate(run: Run, version: int) -> None:
    phase = f"held-out-{version:03d}"
    if run.journal.finished(phase):
        return
    people, samples = run.people(), run.experiment.evaluation.samples
    with run.show.phase(f"held-out evaluation {version}", len(run.split.held_out) * samples):
        metrics = await evaluate(
            run.stage(),
            run.split.held_out,
            people,
            samples,
            cycle=version,
            phase=phase,
            out=run.out / phase,
        )
        _record(run, metrics, phase)
    for metric in metrics:
        if metric.name in ("held_out/accuracy", "held_out/majority"):
            run.show.line(
                f"  {metric.name} {metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"
            )


async def _baseline(run: Run) -> None:
    """Let the untrained model vote on the held-out tasks, at the compute that the run spent."""
    settings = run.experiment.evaluation
    if not settings.baseline or not run.weights or run.journal.finished("baseline"):
        return
    with run.show.phase("matched-compute baseline"):
        people = run.experiment.people()
        metrics = await baseline(
            run.stage(),
            run.split.held_out,
            people,
            settings,
            run.journal.metrics(),
            cycle=run.experiment.cycles,
            out=run.out / "baseline",
        )
        _record(run, metrics, "baseline")


def _record(run: Run, metrics: Sequence[Metric], mark: str) -> None:
    run.journal.measure(metrics)
    write_metrics(run.out / "metrics.parquet", run.journal.metrics())
    run.journal.finish(mark)
