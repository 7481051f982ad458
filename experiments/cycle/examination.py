"""The phases that measure a run: held-out tasks, judges' win rate, controls, the vote beside it."""

from collections.abc import Iterable, Iterator

from moot.agents.self_reward import read as read_verdicts
from moot.protocols.journal import Metric

from ..analysis.judges import judged
from ..analysis.rulings import rulings
from ..files.directory import held_out_folder, win_rate_folder
from ..files.ending import BASELINE, CONTROLS
from .controls import controls
from .evaluation import baseline, evaluate, examinees
from .learn import current
from .phases import Run
from .win_rate import RATE, win_rate

SHOWN = ("held_out/accuracy", "held_out/majority", "held_out/verification_f1", RATE)
"""What is said of an evaluation as soon as it is over."""


async def examine(run: Run, version: int) -> None:
    """Let the learners answer the held-out tasks as `version` cycles have left them, once."""
    folder = held_out_folder(run.out, version)
    people = run.experiment.examined(run.people(version))
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
    _tell(run, metrics)


async def judge(run: Run, version: int) -> None:
    """Have judges compare what the learners answer after `version` cycles with the first, once."""
    experiment, people = run.experiment, run.people(version)
    judging, folder = experiment.evaluation.judging, win_rate_folder(run.out, version)
    if judging is None or not version or run.journal.finished(folder.name):
        return
    judges = experiment.examiners(people)
    with run.phase(f"win rate {version}"):
        metrics = await win_rate(
            run.stage(),
            run.split.held_out,
            people,
            judges,
            judging,
            cycle=version,
            out=run.out,
        )
        run.record([*metrics, *_of_examiners(run, version)])
    run.journal.finish(folder.name)
    _tell(run, metrics)


def _of_examiners(run: Run, version: int) -> Iterator[Metric]:
    """Yield what can be said of those who judge the evaluation alone: the talk tells nothing."""
    experiment, names = run.experiment, run.experiment.evaluation.judges
    folders = (win_rate_folder(run.out, n) for n in range(1, version + 1))
    found = [one for folder in folders if folder.is_dir() for one in rulings(folder)]
    if names and found:
        for one in judged(found, version, experiment.seed, "equal", experiment.persons()):
            if one.name.startswith("judges/") and "@" in one.name and "/trust@" not in one.name:
                yield one


def _tell(run: Run, metrics: Iterable[Metric]) -> None:
    for metric in metrics:
        if metric.name in SHOWN:
            known = metric.low is not None
            within = f" [{metric.low:.3f}, {metric.high:.3f}]" if known else ", of few tasks"
            run.show.line(f"  {metric.name} {metric.value:.3f}{within}")


async def play_controls(run: Run) -> None:
    """Play the protocol, and what its tokens buy without it, with the weights of the end."""
    experiment, cycles = run.experiment, run.experiment.cycles
    due = experiment.controlled and run.split.measurable
    if not due or run.journal.finished(CONTROLS):
        return
    with run.phase("controls"):
        run.record(
            await controls(
                run.stage(),
                experiment.protocol,
                run.split.held_out,
                experiment.talking(run.people(cycles)),
                cycle=cycles,
                out=run.out,
                casting=experiment.casting,
            )
        )
    run.journal.finish(CONTROLS)


async def play_baseline(run: Run) -> None:
    """Let the untrained model vote on the held-out tasks, at the compute that the run spent."""
    settings, cycles = run.experiment.evaluation, run.experiment.cycles
    due = settings.baseline and run.split.measurable and current(run.out, cycles)
    if not due or run.journal.finished(BASELINE):
        return
    with run.phase("matched-compute baseline"):
        metrics = await baseline(
            run.stage(),
            run.split.held_out,
            run.experiment.examined(run.experiment.people()),
            settings,
            run.journal.metrics(),
            cycle=cycles,
            out=run.out / BASELINE,
        )
        run.record(metrics)
    run.journal.finish(BASELINE)
