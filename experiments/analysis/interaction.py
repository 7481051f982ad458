"""Interaction: whose answers policies adopted, of those that they heard and of those they missed.

A policy that had answered, hears an unlike answer and says the same when it speaks again has
adopted it.  It might have said so without: hence what it missed is set beside it.  Where several
whom it heard had said the same, each has been adopted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from .stats import FEWEST, Interval, not_certain, resampled_sums

Row = Mapping[str, Any]
"""A turn, as a row of turns.parquet."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """A policy with an answer hears an unlike one, which is what another has last said."""

    speaker: Row
    """The turn that is heard."""
    before: Row
    """The turn in which the listener had last answered."""
    listener: Row
    """The turn in which it speaks again."""

    @property
    def adopted(self) -> bool:
        """Whether it says now what it has heard."""
        return self.listener["answer"] == self.speaker["answer"]

    @property
    def corrected(self) -> bool:
        """Whether adopting it made a wrong answer right."""
        return self.adopted and self.before["correct"] is False and bool(self.listener["correct"])

    @property
    def corrupted(self) -> bool:
        """Whether adopting it made a right answer wrong."""
        return self.adopted and self.listener["correct"] is False and bool(self.before["correct"])


def episodes(turns: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield the turns of each episode, in their order.

    Args:
        turns: rows of turns.parquet, each episode's together.
    """
    for _, episode in groupby(turns, key=lambda turn: (turn.get("cycle"), turn["episode"])):
        yield list(episode)


def meetings(episode: Sequence[Row]) -> Iterator[Meeting]:
    """Yield each unlike answer that a policy of the episode heard, if it still stood."""
    for turn, standing in _speaking(episode):
        before, heard = standing[turn["agent"]], {*(turn["heard"] or ())}
        for said in standing.values():
            if said["turn"] in heard and said["answer"] != before["answer"]:
                yield Meeting(said, before, turn)


def missed(episode: Sequence[Row]) -> tuple[int, int]:
    """Return how many unlike answers policies missed in the episode, and gave all the same.

    Missed are standing answers of others of whom a policy has heard nothing so far, not by way of a
    critic or another who is no policy either.
    """
    by_turn = {turn["turn"]: turn for turn in episode}
    known: dict[str, set[str]] = {}
    until: dict[int, set[str]] = {}
    for turn in episode:
        known[turn["agent"]] = known.get(turn["agent"], set()) | _heard(turn["heard"], by_turn)
        until[turn["turn"]] = known[turn["agent"]]
    unlike = given = 0
    for turn, standing in _speaking(episode):
        counts = Counter(one["answer"] for one in standing.values())
        for agent in {turn["agent"], *until[turn["turn"]]} & standing.keys():
            counts[standing[agent]["answer"]] -= 1
        del counts[standing[turn["agent"]]["answer"]]
        unlike += counts.total()
        given += counts[turn["answer"]]
    return unlike, given


def adoption(turns: Iterable[Row], seed: int) -> dict[str, Interval]:
    """Return which share of unlike answers policies adopted, with an interval over tasks.

    Args:
        turns: rows of turns.parquet, each episode's together.
        seed: of the bootstrap.

    Returns:
        Of those that they `heard`; of those that they `missed` and gave all the same; and `over`,
        the one less the other, where at least 8 tasks tell of each: tasks in which all agree tell
        of neither.  What can't be told is left out.
    """
    tallies: dict[str, list[tuple[int, int, int, int]]] = {}
    for episode in episodes(turns):
        adopted = [one.adopted for one in meetings(episode)]
        counted = len(adopted), sum(adopted), *missed(episode)
        tallies.setdefault(episode[0]["task"], []).append(counted)

    counts = [np.sum(some, 0) for some in tallies.values()]
    telling = {
        name: sum(count[i] > 0 for count in counts) for name, i in (("heard", 0), ("missed", 2))
    }

    def shares(sums: Sequence[float]) -> dict[str, float]:
        heard, adopted, unheard, given = sums
        found = {"heard": adopted / heard} if heard else {}
        if unheard:
            found["missed"] = given / unheard
        if len(found) == 2 and min(telling.values()) >= FEWEST:
            found["over"] = found["heard"] - found["missed"]
        return found

    drawn = resampled_sums(counts, shares, seed)
    found = {name: not_certain(drawn[name], n) for name, n in telling.items() if name in drawn}
    if "over" in drawn:
        found["over"] = _over(drawn["over"], found["heard"], found["missed"])
    return found


def _over(drawn: Interval, heard: Interval, missed: Interval) -> Interval:
    """Return the difference of two shares, as wide as the two where one is of nothing or of all."""
    if {0, 1}.isdisjoint((heard.value, missed.value)):
        return drawn
    low, high = heard.low - missed.high, heard.high - missed.low
    return Interval(drawn.value, min(drawn.low, low), max(drawn.high, high))


def _speaking(episode: Sequence[Row]) -> Iterator[tuple[Row, Mapping[str, Row]]]:
    """Yield each turn of a policy that had answered, and what all had last answered until then.

    What is said in a round is heard in later ones at the earliest.
    """
    standing: dict[str, Row] = {}
    policies = (turn for turn in episode if turn["role"] == "policy")
    for _, together in groupby(policies, key=lambda turn: turn["round"]):
        turns = list(together)
        yield from ((turn, standing) for turn in turns if turn["agent"] in standing)
        standing |= {turn["agent"]: turn for turn in turns if turn["answer"] is not None}


def _heard(turns: Sequence[int] | None, by_turn: Mapping[int, Row]) -> set[str]:
    """Return who spoke these turns, and of whom the critics and judges among them had heard."""
    due, seen = list(turns or ()), set[int]()
    while due:
        if (n := due.pop()) in by_turn and n not in seen:
            seen.add(n)
            due += () if by_turn[n]["role"] == "policy" else by_turn[n]["heard"] or ()
    return {by_turn[n]["agent"] for n in seen}
