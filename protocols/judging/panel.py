"""A panel: several judges are asked the same, and what they find is put together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean

from moot.agents.population import Agent
from moot.agents.task import Task

from ..asking import Reply, Wishes, choose
from ..fence import exchange
from ..types import Say, Verdict

Score = tuple[Agent, float | None]
"""What a judge found; `None`: it can't be read."""
Found = Mapping[int, Sequence[Score]]
"""What each judge found of each turn, at most one score of each."""
ROUNDING = 1e-9
"""So far apart two means that are equal may be, as floats."""
REASONS = "Say why in a few sentences, without a verdict yet."


def decided(
    says: Sequence[Say], form: str, reasons: bool
) -> Wishes[list[Reply[tuple[float, ...]]]]:
    """Ask each for one of its choices, after its reasons where they are wanted.

    Args:
        says: what to decide, without a word on the form of the reply.
        form: that word; it comes last.
        reasons: whether they are said first, in a turn of their own.
    """
    if not reasons:
        return (yield from choose([replace(say, text=f"{say.text} {form}") for say in says]))
    if not says:
        return []
    asked = [replace(say, text=f"{say.text} {REASONS}", choices=()) for say in says]
    thoughts = yield asked
    last = [
        replace(
            say,
            text=form,
            before=(*say.before, *exchange(first.text, thought)),
            heard=(*say.heard, thought.index),
        )
        for say, first, thought in zip(says, asked, thoughts, strict=True)
    ]
    return (yield from choose(last))


def either_way(one: float | None, other: float | None) -> float | None:
    """Return how likely the first of a pair wins, whatever its place; `None`: it can't be told.

    Args:
        one: how likely the first place won with the pair in this order.
        other: the same with the two exchanged.  Equal chances give an even one, to the last bit.
    """
    return None if one is None or other is None else (one - other + 1) / 2


def mean(found: Iterable[Score]) -> float | None:
    """Return the mean of what judges found, weighed by how far each is trusted.

    `None`: none of those who are trusted at all could be read.
    """
    read = [(judge.trust, score) for judge, score in found if score is not None]
    weight = sum(trust for trust, _ in read)
    return sum(trust * score for trust, score in read) / weight if weight > 0 else None


def graded(task: Task, found: Found) -> list[Verdict]:
    """Return the panel's grade of each turn: see `level`."""
    return [Verdict(turn, "grade", score) for turn, score in level(task, found).items()]


def level(task: Task, found: Found) -> dict[int, float | None]:
    """Return the mean of what judges found of each turn, by the same judges for all turns.

    Some judges mark higher than others, so who abstains on one turn would raise or lower the others
    beside it.  Those count who could be read on all turns; where nobody was, those who were on the
    most, and on the same ones.  Of equally many the most trusted count, and then those drawn.

    Returns:
        `None` for a turn on which those who count couldn't be read.
    """
    read: dict[Agent, tuple[int, ...]] = {}
    for turn, said in found.items():
        for judge, score in said:
            if score is not None and judge.trust > 0:
                read[judge] = (*read.get(judge, ()), turn)
    trust: dict[tuple[int, ...], float] = {}
    for judge, turns in read.items():
        trust[turns] = trust.get(turns, 0.0) + judge.trust
    drawn = task.shuffled(list(trust), "panel")
    most = max(drawn, key=lambda turns: (len(turns), trust[turns]), default=())
    return {
        turn: mean((judge, score) for judge, score in said if read.get(judge) == most)
        for turn, said in found.items()
    }


def even(p: float) -> bool:
    """Return whether neither of two is better, whatever the rounding."""
    return abs(p - 0.5) <= ROUNDING


def games(verdicts: Iterable[Verdict]) -> list[tuple[int, int, float]]:
    """Return the panel's comparisons: which turn met which, and how likely the first is better."""
    return [
        (v.of, v.over, v.score)
        for v in verdicts
        if v.kind == "preference" and v.by is None and v.over is not None and v.score is not None
    ]


def win_shares(played: Iterable[tuple[int, int, float]]) -> dict[int, float]:
    """Return how often, in the mean, each turn won that met others."""
    found: dict[int, list[float]] = {}
    for a, b, p in played:
        found.setdefault(a, []).append(p)
        found.setdefault(b, []).append(1 - p)
    return {turn: fmean(won) for turn, won in found.items()}


def counted(verdicts: Iterable[Verdict]) -> dict[str, float | None]:
    """Return the share of the judges' own verdicts that can't be read; `None`: there are none."""
    own = [verdict.score is None for verdict in verdicts if verdict.by is not None]
    return {"verdicts_unreadable": sum(own) / len(own) if own else None}
