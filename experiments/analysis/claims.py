"""Claims: what each judge found in the end of a reply, or of one over another, from its rulings."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from moot.protocols.judging.panel import either_way
from moot.protocols.reliability.bias import Both

from .rulings import Reply, Ruling


@dataclass(frozen=True, slots=True)
class Claim:
    """What a judge found in the end: how good one reply is, or how likely better than another.

    The two orders of a pair are one claim, their mean.  So are the criteria of a rubric, as much as
    each is worth: one of less than 0 points speaks for the reply where it isn't true of it.  Of a
    pair that was shown in one order alone the claim is of the earlier turn, in either order.
    """

    episode: str
    of: Reply
    over: Reply | None
    score: float
    swapped: Both | None = None
    """How likely the first place won, with this reply in it and with the other."""

    @property
    def task(self) -> str:
        """Return its task's id, or what the episode is called: a task is played again in later
        cycles, and what is found of it there is no news."""
        return self.episode.partition("/")[2] or self.episode

    @property
    def about(self) -> tuple[str, int, int | None]:
        """Return what it is about, the same for every judge: the episode and the turns."""
        return self.episode, self.of.turn, self.over.turn if self.over else None

    @property
    def authors(self) -> tuple[str, ...]:
        """Return who wrote what it is about."""
        return (self.of.agent, self.over.agent) if self.over else (self.of.agent,)

    @property
    def right(self) -> bool | None:
        """Return whether the score is to be high; `None`: it can't be told."""
        if self.over is None or self.of.correct is None:
            return self.of.correct
        return None if self.over.correct in {None, self.of.correct} else self.of.correct


def claims(rulings: Iterable[Ruling]) -> dict[str, list[Claim]]:
    """Return each judge's claims; what it couldn't be read on is none."""
    found: dict[str, dict[tuple[str, int, int], list[Ruling]]] = {}
    for one in rulings:
        ends = (one.of.turn, one.over.turn) if one.over else (one.of.turn, one.of.turn)
        same = found.setdefault(one.judge, {}).setdefault((one.episode, min(ends), max(ends)), [])
        same.append(one)
    return {
        judge: [claim for same in about.values() if (claim := _claim(same)) is not None]
        for judge, about in found.items()
    }


def compared(some: Iterable[Claim]) -> list[Claim]:
    """Return one judge's claims as claims about one reply over another.

    Of two replies to a question that it marked, each by itself, it says which has the higher mark:
    for certain, or an even chance.  How high its marks are, and to which question, tells nothing.
    """
    found: list[Claim] = []
    marks: dict[str, list[Claim]] = {}
    for claim in some:
        if claim.over is None:
            marks.setdefault(claim.episode, []).append(claim)
        else:
            found.append(claim)
    for same in marks.values():
        for one, other in combinations(sorted(same, key=lambda claim: claim.of.turn), 2):
            higher = 0.5 if one.score == other.score else float(one.score > other.score)
            found.append(Claim(one.episode, one.of, other.of, higher))
    return found


def _claim(same: Sequence[Ruling]) -> Claim | None:
    read = [(one, one.score) for one in same if one.score is not None]
    first = same[0]
    if first.over is None:
        worth = math.fsum(abs(ruling.points) for ruling, _ in read)
        good = math.fsum(
            abs(ruling.points) * (score if ruling.points > 0 else 1 - score)
            for ruling, score in read
        )
        return Claim(first.episode, first.of, None, good / worth) if read else None
    one = [score for ruling, score in read if ruling.of.turn == first.of.turn]
    other = [score for ruling, score in read if ruling.of.turn != first.of.turn]
    if not one and not other:
        return None
    if all(ruling.of.turn == first.of.turn for ruling in same):  # it was asked in one order alone
        won, lower = fmean(one), first.of.turn < first.over.turn
        of, over = (first.of, first.over) if lower else (first.over, first.of)
        return Claim(first.episode, of, over, won if lower else 1 - won)
    score = either_way(fmean(one) if one else None, fmean(other) if other else None)
    if score is None:
        return None
    return Claim(first.episode, first.of, first.over, score, (fmean(one), fmean(other)))
