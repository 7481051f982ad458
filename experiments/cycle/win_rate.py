"""The win rate: how often judges find held-out answers of the trained better than the untrained's.

It says what accuracy can't where no answers are known.  Nothing is answered anew: the answers are
those that the two evaluations wrote down.  Who judged what was learnt from may like what was learnt
to please them; `evaluation.judges` are others.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import fmean

import pyarrow.parquet as pq

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.protocols.duel import Duel, wins
from moot.protocols.journal import Metric
from moot.protocols.judging import Comparing
from moot.protocols.stage import Stage
from moot.protocols.types import Episode, Turn

from ..analysis.stats import FEWEST, mean_interval
from ..files.directory import examinee, held_out_folder, win_rate_folder
from ..files.store import writing
from .evaluation import examinees
from .outline import ranked

RATE = "held_out/win_rate"
Answers = Mapping[tuple[str, str], Sequence[str]]
"""What was said, by the examinee's name (empty: there is but one) and the task's id."""


async def win_rate(
    stage: Stage,
    tasks: Sequence[Task],
    people: Population,
    judges: Sequence[Agent],
    judging: Comparing,
    *,
    cycle: int,
    out: Path,
) -> list[Metric]:
    """Have judges compare the answers after `cycle` cycles with the first; return the metrics.

    A task counts as a mean over its pairs of answers, of which equals are won by half.  Pairs that
    nobody could judge are left out, and how many they are is told.

    Args:
        stage: where the judges are asked.
        tasks: the held-out ones.
        people: who was examined, at the versions that were; who has learnt nothing is left out.
        judges: who compares.
        judging: how.
        cycle: after how many cycles.
        out: the run's directory.
    """
    who = examinees(people)
    before, after = (answers(held_out_folder(out, version)) for version in (0, cycle))
    folder = win_rate_folder(out, cycle)
    found: dict[str, dict[str, list[float]]] = {}
    pairs = 0
    with writing(folder, cycle) as write:
        for name, agent in who.items():
            if not agent.version:
                continue
            suffix = f"@{name}" if len(who) > 1 else ""
            key = name if suffix else ""
            duels = {
                task.id: [*zip(after[key, task.id], before[key, task.id], strict=True)]
                for task in ranked(tasks)
                if (key, task.id) in before and (key, task.id) in after
            }
            pairs += sum(map(len, duels.values()))
            found[suffix] = {}
            play = _played(stage, tasks, duels, agent, judges, judging, f"{folder.name}{suffix}")
            async for episode in play:
                write(episode)
                found[suffix][episode.task.id] = wins(episode)
    if not pairs:
        return []
    told = sum(len(won) for each in found.values() for won in each.values())
    return [*_rates(found, cycle, stage.seed), Metric(cycle, f"{RATE}_unread", 1 - told / pairs)]


async def _played(
    stage: Stage,
    tasks: Sequence[Task],
    duels: Mapping[str, Sequence[tuple[str, str]]],
    agent: Agent,
    judges: Sequence[Agent],
    judging: Comparing,
    phase: str,
) -> AsyncGenerator[Episode]:
    """Yield an examinee's duels; what both say in them is known.

    Args:
        stage: where the judges are asked.
        tasks: the held-out ones.
        duels: what the trained and the untrained said, by task.
        agent: the trained.
        judges: who compares.
        judging: how.
        phase: what it is called.
    """
    trained = replace(agent, others=())
    untrained = replace(trained, name=f"{agent.name}-untrained", weights=None, version=0)
    known = {
        (f"{phase}/{task}", turn): text
        for task, pairs in duels.items()
        for turn, text in enumerate(chain.from_iterable(pairs))
    }
    duel = Duel(judging, max(map(len, duels.values()), default=1))
    both = [task for task in ranked(tasks) if task.id in duels]

    def tell(phase: str, protocol: str, turn: Turn) -> None:
        if turn.agent.role == "judge":  # the others have spoken before
            stage.told(phase, protocol, turn)

    changes = {**known, **stage.changes}
    # What is too long for a judge can't be judged; the run has come this far.
    patient = replace(stage, changes=changes, told=tell, bears_refusals=True)
    cast = Population((trained, untrained, *judges))
    async with aclosing(patient.play(duel, both, cast, phase)) as play:
        async for one in play:
            if isinstance(one, Episode):
                yield one


def _rates(
    found: Mapping[str, Mapping[str, Sequence[float]]], cycle: int, seed: int
) -> Iterator[Metric]:
    """Yield the win rate of each examinee, and of all on the tasks on which all are judged.

    Of fewer than 8 tasks there is no interval: nothing can be claimed of them.
    """
    each = {s: {t: fmean(won) for t, won in tasks.items() if won} for s, tasks in found.items()}
    shared = set.intersection(*(set(tasks) for tasks in each.values()))
    pooled = {task: fmean(tasks[task] for tasks in each.values()) for task in sorted(shared)}
    for suffix, tasks in {"": pooled, **each}.items():
        if len(tasks) >= FEWEST:
            interval = mean_interval([*tasks.values()], seed, within=(0, 1))
            yield from [Metric(cycle, f"{RATE}{suffix}", *interval)] if interval else []
        elif tasks:
            yield Metric(cycle, f"{RATE}{suffix}", fmean(tasks.values()))


def answers(folder: Path) -> Answers:
    """Return what was said in an evaluation, in the order in which it was."""
    columns = ["episode", "task", "role", "text"]
    found: dict[tuple[str, str], list[str]] = {}
    for turn in pq.read_table(folder / "turns.parquet", columns=columns).to_pylist():
        if turn["role"] == "policy":
            who = examinee(turn["episode"], turn["task"])
            found.setdefault((who, turn["task"]), []).append(turn["text"])
    return found
