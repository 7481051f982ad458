"""The knee: how many requests at once an engine gains from; with more it only answers later."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from statistics import fmean, stdev

from .engine import Queue

KEPT = 0.95
"""So much of its answers an engine must still give for half as many places to stay."""
SURE = 1.64
"""Standard errors that a figure must be away from a bound: one-sided, 95 % sure."""
BEFORE = 8
"""Turnovers that are looked at before places are halved."""
LOST, KEEP, ENOUGH = 3, 4, 16
"""Turnovers with half of them: from how many on a loss ends the trial, or they stay away, and after
how many it ends undecided."""
REST = 128
"""Turnovers from a trial that failed to the next."""
SHORTEST_S = 10.0
"""A turnover takes at least so long: it is looked at once a second, and may answer in fits."""
LEAST = 4
"""No fewer places than these are tried."""


@dataclass(frozen=True, slots=True)
class Turnover:
    """A time in which as many requests were answered as there are places, or more."""

    answers_per_s: float
    latency_s: float
    """How long a request took on the average, its wait in the engine's queue among it."""


class Knee:
    """A bound on the places before an engine, which trials bring near its knee.

    What is under way is the answers a second times an answer's latency (Little, 1961): where more
    at once don't get more done, all answers only come later.  So half of the places are taken away
    for a trial, and stay away where the engine gives as many answers without them, and sooner.
    That is read from its own metrics, and must be sure: a wrong guess costs throughput, a missed
    one time.  Then half of what is left is tried, until that loses answers.  After that all stays
    as it is for long, and then twice as many are let in, for by then the load may be another.

    The unit is the turnover, not the second: prompts are read in waves, while nobody answers.
    """

    def __init__(self, most: int) -> None:
        """Begin with `most` places, the most that there will ever be."""
        self.bound = float(most)
        """The most places that there may be now."""
        self._most = float(most)
        self._start: tuple[Queue, float] | None = None
        self._settled = False
        self._found: list[Turnover] = []
        self._wider: tuple[float, list[Turnover]] | None = None
        self._rest = 0

    def seen(self, queue: Queue, now: float, number: float, *, full: bool) -> None:
        """Take note of what the engine says.

        Args:
            queue: what its metrics say.
            now: the time, in seconds.
            number: how many places there are.
            full: whether all of them are taken.
        """
        before, since = self._start or (queue, now)
        answered = queue.answered - before.answered
        if not full or answered < 0:  # fewer than ever: it was started again
            self._start = None
            return
        self._start = before, since
        if answered < number or now - since < SHORTEST_S:
            return
        self._start = queue, now
        if self._settled:
            latency = (queue.latencies_s - before.latencies_s) / answered
            self._found.append(Turnover(answered / (now - since), latency))
            self._turned(number)
        self._settled = True  # the first had some from before the change

    def _turned(self, number: float) -> None:
        """Go on after a turnover."""
        if self._rest:
            self._rest -= 1
            if not self._rest:
                self._change(min(self._most, 2 * self.bound))
        elif self._wider is None:
            if len(self._found) == BEFORE:
                self._halve(number)
        elif (turnovers := len(self._found)) >= LOST:
            bound, before = self._wider
            nothing = costs_nothing(self._found, before)
            if nothing and turnovers >= KEEP:
                self._halve(number)
            elif nothing is False or turnovers == ENOUGH:
                self._end(bound, REST if nothing is False else 0)

    def _halve(self, number: float) -> None:
        if number / 2 < LEAST:
            self._end(self.bound, REST)
        else:
            self._wider = self.bound, self._found
            self._change(number / 2)

    def _end(self, bound: float, rest: int) -> None:
        self._wider, self._rest = None, rest
        self._change(bound)

    def _change(self, bound: float) -> None:
        self.bound, self._found, self._settled = bound, [], False


def costs_nothing(fewer: Sequence[Turnover], more: Sequence[Turnover]) -> bool | None:
    """Return whether an engine surely answers as much, and sooner, with fewer places.

    Args:
        fewer: turnovers with fewer places, two at least.
        more: those with more, two at least.

    Returns:
        Whether it does; `None` where that isn't sure, either way.
    """
    share, off = _ratio([one.answers_per_s for one in fewer], [one.answers_per_s for one in more])
    time, late = _ratio([one.latency_s for one in fewer], [one.latency_s for one in more])
    if share - off >= KEPT and time + late <= 1:
        return True
    return False if share + off < KEPT else None


def _ratio(of: Sequence[float], to: Sequence[float]) -> tuple[float, float]:
    """Return the ratio of two means, and how far off it may be."""
    ratio = fmean(of) / fmean(to)
    parts = (stdev(one) / fmean(one) / sqrt(len(one)) for one in (of, to))
    return ratio, SURE * ratio * hypot(*parts)
