"""Run: talk, learn, swap, evaluate, for as many cycles as the experiment has; or go on with it.

Every phase may be cut off anywhere.  What was said is in the journal, trainings have checkpoints,
and a phase that is done is marked; so running again does what is missing and nothing twice.
"""

import asyncio
import shlex
from collections.abc import Sequence
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path

from moot.protocols.journal import Journal
from moot.protocols.ledger import Ledger

from .cycle.engines import opened, replayed
from .cycle.examination import examine, judge, play_baseline, play_controls
from .cycle.learn import current, published
from .cycle.phases import Run, let_learn, let_talk, serve
from .cycle.recording import RECORDING, Recording
from .cycle.replay import Replay, apart, recorded
from .experiment import Experiment
from .files.directory import JOURNAL, RESOLVED, claim, held_out_folder, talk_folder
from .files.ending import RUN
from .files.store import write_metrics, write_usage
from .files.table import named
from .progress import Show
from .prometheus import serving
from .tasks.split import Split


def run(
    experiment: Experiment,
    split: Split,
    out: Path,
    replay: Replay | None = None,
    metrics: int | None = None,
) -> Path:
    """Run `experiment` on its tasks in the directory `out`, or go on where a run was stopped.

    Args:
        experiment: decides the run.
        split: its tasks.
        out: the run's directory.
        replay: what it replays; `None`: nothing, or what it did before it was stopped.
        metrics: the port at which Prometheus may ask what is spent while the run lasts.

    Returns:
        The report's path.

    Raises:
        MootError: something that the user can mend; nothing that was written is lost.
    """
    from .report.page import write

    if replay is not None:
        apart(out, replay)
    prices = {name: e.price for name, e in experiment.engines.items() if e.price is not None}
    with (
        named(out),
        claim(experiment, split, out, replay.told() if replay else "") as experiment,
        recorded(experiment, out, replay) as recording,
        Journal(out / JOURNAL) as journal,
    ):
        show = Show(Ledger(prices, journal.accounts()))
        if not journal.finished(RUN):
            told = nullcontext() if metrics is None else serving(metrics, show.ledger, show.line)
            with told:
                asyncio.run(_run(experiment, split, out, journal, show, recording))
            journal.finish(RUN)
            if recording is not None:
                show.line(
                    f"replay: {recording.replayed} replies as they were recorded, "
                    f"{recording.missed} asked anew"
                )
        write_metrics(out / "metrics.parquet", journal.metrics())
        write_usage(out / "usage.parquet", show.ledger.usage())
        return write(out)


def command(
    experiment: Path, out: Path, sets: Sequence[str], replay: Replay | None, metrics: int | None
) -> str:
    """Return the command that goes on with a run that was interrupted.

    Args:
        experiment: the file.
        out: the run's directory.
        sets: what was set beside the file.
        replay: as `run` had it.
        metrics: as `run` had it.
    """
    words = [word for one in sets for word in ("--set", one)]
    if replay is not None and (out / RECORDING).is_file():
        experiment, words = out / RESOLVED, []  # the directory knows what is changed
    elif replay is not None:
        words += replay.options()
    words += [] if metrics is None else ["--metrics", str(metrics)]
    return shlex.join(["moot", "run", str(experiment), "--out", str(out), *words])


async def _run(
    experiment: Experiment,
    split: Split,
    out: Path,
    journal: Journal,
    show: Show,
    recording: Recording | None,
) -> None:
    cycles = experiment.cycles
    async with AsyncExitStack() as stack:
        if recording is None:
            engines = await opened(experiment, out, show, stack)
        else:
            canary = split.held_out[0]
            engines = await replayed(experiment, out, show, stack, recording, journal, canary)
        run = Run(experiment, split, out, journal, show, engines, recording)
        evaluated = [journal.finished(held_out_folder(out, n).name) for n in range(cycles + 1)]
        start = max(0, evaluated.index(False) - 1) if False in evaluated else cycles
        await serve(run, current(out, start).values())
        await examine(run, start)
        await judge(run, start)
        for cycle in range(start, cycles):
            if not published(talk_folder(out, cycle)):
                await let_learn(run, cycle, await let_talk(run, cycle))
            learnt = [w for w in current(out, cycle + 1).values() if w.version == cycle + 1]
            await serve(run, learnt)
            await examine(run, cycle + 1)
            await judge(run, cycle + 1)
        await play_controls(run)
        await play_baseline(run)
