"""The knee: how many requests at once an engine gains from; with more it only answers later."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import hypot, sqrt
from statistics import fmean, stdev

from ..engine import Queue

KEPT = 0.95
"""So much of what an engine does it must still do for fewer places to stay."""
SURE = 1.64
"""Standard errors by which it must."""
BLOCK = 8
"""Turnovers with one number of places, before another is tried."""
FEWEST, BLOCKS = 3, 6
"""Turnovers with either after which a trial may end for a loss, and blocks after which it ends."""
REST = 128
"""Turnovers from the end of a trial to the next."""
SETTLING = 2
"""Turnovers after a change that were asked, in part, before it."""
SHORTEST_S = 10.0
"""A turnover takes at least so long: it is looked at once a second, and may answer in fits."""
OTHER = 2.0
"""Requests with so many times as many tokens, or so many times fewer, are another load."""
LEAST = 4
"""No fewer places than these are tried."""


@dataclass(frozen=True, slots=True)
class Turnover:
    """A time in which as many requests were answered as there are places, or more."""

    answers_per_s: float
    tokens_per_s: float
    """Tokens read and said."""
    latency_s: float
    """How long a request took on the average, its wait in the engine's queue among it."""


class Knee:
    """A bound on the places before an engine, which trials bring near its knee.

    What is under way is the answers a second times an answer's latency (Little, 1961): where more
    at once don't get more done, all answers only come later.  So half of the places are taken away
    and given back by turns, until it is sure that the engine does as much without them, and sooner,
    by its own metrics; then half of what is left is tried, beside what it did with all.  Where it
    is likely to do less, or nothing is sure after many turns, they are given back.  After a rest
    twice as many are tried, and twice as many again as long as that may help; then fewer again.

    The unit is the turnover, not the second: prompts are read in waves, while nobody answers.
    """

    def __init__(self, most: int) -> None:
        """Begin with `most` places, the most that there will ever be."""
        self._most = float(most)
        self.forget()

    def forget(self) -> None:
        """Begin anew, with all places: the load will be another, or the engine is."""
        self._home = self._most
        self._fewer = True
        self._size = 0.0
        self._start: tuple[Queue, float] | None = None
        self._rest(BLOCK)

    def _rest(self, turnovers: int) -> None:
        """Stay with what was found best, until the next trial."""
        self._pair: tuple[float, float] | None = None
        self._found: dict[float, list[Turnover]] = {}
        self._due = turnovers
        self._change(self._home)

    def _change(self, bound: float) -> None:
        self.bound = bound
        """The most places that there may be now."""
        self._block, self._settling = 0, SETTLING

    def seen(self, queue: Queue, now: float, number: float, *, full: bool) -> None:
        """Take note of what the engine says.

        Args:
            queue: what its metrics say.
            now: the time, in seconds.
            number: how many places there are.
            full: whether all of them are taken.
        """
        if not full or self._start is None:
            self._start = (queue, now) if full else None
            return
        before, since = self._start
        answered, seconds = queue.answered - before.answered, now - since
        tokens = queue.tokens - before.tokens
        latencies = queue.latencies_s - before.latencies_s
        if min(answered, tokens, latencies) < 0:  # it was started again
            self.forget()
        elif answered >= number and seconds >= SHORTEST_S and tokens and latencies:
            self._start = queue, now
            size = tokens / answered
            self._size = self._size or size
            if not 1 / OTHER < size / self._size < OTHER:
                self.forget()
            elif self._settling:
                self._settling -= 1
            else:
                done = Turnover(answered / seconds, tokens / seconds, latencies / answered)
                self._turned(done, number)

    def _turned(self, done: Turnover, number: float) -> None:
        """Go on after a turnover: to a trial, or with the one under way."""
        self._found.setdefault(self.bound, []).append(done)
        self._block += 1
        if self._pair is None:
            if self._block == self._due:
                self._found[self._home] = self._found[self._home][-BLOCK:]
                self._try(number)
            return
        fewer, more = (self._found.get(bound, []) for bound in self._pair)
        known = min(len(fewer), len(more))
        if known < FEWEST:
            return
        nothing = costs_nothing(fewer, more)
        if nothing is False:
            self._decide(enough=False)
        elif self._block == BLOCK:
            if nothing or known >= BLOCKS * BLOCK:
                self._decide(enough=bool(nothing))
            else:
                self._change(next(bound for bound in self._pair if bound != self.bound))

    def _try(self, number: float) -> None:
        """Try half of so many places, or twice as many as were found best."""
        if self._fewer:
            bound = number / 2
            pair = bound, self._pair[1] if self._pair else self._home
        else:
            bound = min(self._most, 2 * self._home)
            pair = self._home, bound
        if bound < LEAST or bound == self._home:
            self._turn()
        else:
            self._pair = pair
            self._change(bound)

    def _decide(self, *, enough: bool) -> None:
        """End a trial, in which the fewer places were `enough` or weren't: go on if that helped."""
        assert self._pair is not None
        if enough == self._fewer:
            self._home = self._pair[0] if enough else self._pair[1]
            self._try(self._home)
        else:
            self._turn()

    def _turn(self) -> None:
        self._fewer = not self._fewer
        self._rest(REST)


def costs_nothing(fewer: Sequence[Turnover], more: Sequence[Turnover]) -> bool | None:
    """Return whether an engine surely does as much with fewer places, and answers sooner.

    As much is as many answers, and as many tokens: where requests grow longer or shorter between
    the two, one of these rises and the other falls.

    Args:
        fewer: turnovers with fewer places, two at least.
        more: those with more, two at least.

    Returns:
        `True` where that is sure, `False` where it likely does less, `None` otherwise.
    """

    def ratio(of: Callable[[Turnover], float]) -> tuple[float, float]:
        """Return the ratio of the means, and its standard error."""
        both = [of(one) for one in fewer], [of(one) for one in more]
        quotient = fmean(both[0]) / fmean(both[1])
        return quotient, quotient * hypot(*(stdev(x) / fmean(x) / sqrt(len(x)) for x in both))

    work = ratio(lambda one: one.answers_per_s), ratio(lambda one: one.tokens_per_s)
    latency, error = ratio(lambda one: one.latency_s)
    if any(share + SURE * off < KEPT for share, off in work):
        return False
    surely = all(share - SURE * off >= KEPT for share, off in work)
    return True if surely and latency + SURE * error <= 1 else None
