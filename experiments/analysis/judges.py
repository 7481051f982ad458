"""Judges: how far each can be trusted, by all that it found so far.

Where answers are known a judge is held against them: its AUC is how often it finds the right one of
a right and a wrong answer better.  If the interval holds 0.5 it is at chance, below it is worse: it
is named in the report and gets no weight from the next cycle on.  No label has any other say.
Else, from three judges and a hundred claims on, what they agree about tells how good each is (Dawid
and Skene, 1979).
"""

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain
from statistics import fmean

from moot.agents.population import Population
from moot.protocols.journal import Metric
from moot.protocols.judging.panel import either_way
from moot.protocols.reliability.agreement import krippendorff_alpha
from moot.protocols.reliability.bias import (
    Both,
    consistency,
    fairness,
    length_bias,
    position_bias,
    self_preference,
)
from moot.protocols.reliability.discrimination import auc
from moot.protocols.reliability.rating import bradley_terry
from moot.protocols.reliability.truth import dawid_skene

from .rulings import Reply, Ruling
from .stats import Interval, contrasted, resampled, resampled_all

ENOUGH = 100
"""Claims that judges must have made before their agreement tells them apart: with fewer a panel of
equals was right more often (docs/lab-log.md)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a judge found in the end: how good one reply is, or how likely better than another.

    The two orders of a pair are one claim, their mean.  So are the criteria of a rubric, as much as
    each is worth: one of less than 0 points speaks for the reply where it isn't true of it.
    """

    episode: str
    of: Reply
    over: Reply | None
    score: float
    swapped: Both | None = None
    """How likely the first place won, with this reply in it and with the other."""

    @property
    def about(self) -> tuple[str, int, int | None]:
        """Return what it is about, the same for every judge: the episode and the turns."""
        return self.episode, self.of.turn, self.over.turn if self.over else None

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
    score = either_way(fmean(one) if one else None, fmean(other) if other else None)
    if score is None:
        return None
    return Claim(first.episode, first.of, first.over, score, (fmean(one), fmean(other)))


def judged(rulings: Sequence[Ruling], cycle: int, seed: int) -> list[Metric]:
    """Return what can be said of each judge (judges/WHAT@NAME), of all, and of whom they judged.

    Args:
        rulings: all so far.
        cycle: whose metrics these are.
        seed: of the bootstrap, whose units are episodes.
    """
    found = claims(rulings)
    metrics: list[Metric] = []
    chance: set[str] = set()
    for judge, some in found.items():
        own = [one for one in rulings if one.judge == judge]
        area = _area(some, seed)
        if area is not None:
            metrics.append(Metric(cycle, f"judges/auc@{judge}", *area))
            if area.low <= 0.5:
                chance.add(judge)
        metrics += [
            Metric(cycle, f"judges/{name}@{judge}", value)
            for name, value in _habits(judge, some, found, own).items()
            if value is not None
        ]
    ratings = _ratings(found)
    trust = trusted(list(found), [*chain.from_iterable(ratings)], chance)
    metrics += [Metric(cycle, f"judges/trust@{judge}", value) for judge, value in trust.items()]
    agreement = _agreement(ratings, seed) if len(found) > 1 else None
    metrics += [Metric(cycle, "judges/agreement", *agreement)] if agreement else []
    return [*metrics, *rated(found, cycle, seed)]


def _area(some: Sequence[Claim], seed: int) -> Interval | None:
    """Return the AUC with its interval over episodes; `None`: too few hold either kind."""
    episodes: dict[str, list[tuple[float, bool]]] = {}
    for claim in some:
        if (right := claim.right) is not None:
            same = episodes.setdefault(claim.episode, [])
            same.append((claim.score, right))
            if claim.over is not None:  # the same claim, told of the other reply
                same.append((1 - claim.score, not right))
    if not contrasted(episodes.values()):
        return None
    return resampled(
        list(episodes.values()),
        lambda drawn: auc(
            [s for one in drawn for s, _ in one], [r for one in drawn for _, r in one]
        ),
        seed,
    )


def _agreement(ratings: Sequence[Sequence[Sequence[float | None]]], seed: int) -> Interval | None:
    """Return Krippendorff's alpha of all claims, with its interval over episodes.

    The claims of one episode are about the same few replies: one by one they'd seem to tell more.
    """
    return resampled(ratings, lambda drawn: krippendorff_alpha([*chain.from_iterable(drawn)]), seed)


def _habits(
    judge: str,
    some: Sequence[Claim],
    everybody: Mapping[str, Sequence[Claim]],
    own: Sequence[Ruling],
) -> dict[str, float | None]:
    pairs = [claim.swapped for claim in some if claim.swapped is not None]
    others: dict[tuple[str, int, int | None], list[float]] = {}
    for claim in chain.from_iterable(theirs for n, theirs in everybody.items() if n != judge):
        others.setdefault(claim.about, []).append(claim.score)
    shared: list[tuple[float, float]] = []
    for claim in (c for c in some if c.about in others):
        over = None if claim.over is None else claim.over.agent
        found = claim.score, fmean(others[claim.about])
        if claim.of.agent == judge != over:
            shared.append(found)
        elif over == judge != claim.of.agent:
            shared.append((1 - found[0], 1 - found[1]))
    return {
        "verdicts": float(len(own)),
        "unreadable": fmean(one.score is None for one in own),
        "position_bias": position_bias(pairs),
        "consistency": consistency(pairs),
        "fairness": fairness(pairs),
        "length_bias": length_bias(
            [
                (c.of.length, c.over.length, c.score)
                for c in some
                # Where one reply is the right one, and the longer, it may have won by that.
                if c.over is not None and c.right is None
            ]
        ),
        "self_preference": self_preference([a for a, _ in shared], [b for _, b in shared]),
    }


def trusted(
    judges: Sequence[str], ratings: Sequence[Sequence[float | None]], chance: Set[str]
) -> dict[str, float]:
    """Return how far each judge is to be trusted: 1 at most, 0 at chance.

    Args:
        judges: their names.
        ratings: claims × judges, as `_ratings` gives them of each episode.
        chance: those who can't be told from chance, or are worse.
    """
    labels = [[None if x is None else int(x) for x in item] for item in ratings]
    tell = len(judges) > 2 and len(labels) >= ENOUGH
    estimate = dawid_skene(labels) if tell else None
    skill = estimate.informedness if estimate else [1.0] * len(judges)
    return {j: 0.0 if j in chance else s for j, s in zip(judges, skill, strict=True)}


def _ratings(found: Mapping[str, Sequence[Claim]]) -> list[list[list[float | None]]]:
    """Return episodes × claims × judges: whether each found it so (1) or not (0)."""
    episodes: dict[str, dict[tuple[str, int, int | None], dict[str, float]]] = {}
    for judge, some in found.items():
        for c in some:
            if c.score != 0.5:
                items = episodes.setdefault(c.episode, {})
                items.setdefault(c.about, {})[judge] = float(c.score > 0.5)
    return [
        [[said.get(judge) for judge in found] for said in items.values()]
        for items in episodes.values()
    ]


def rated(found: Mapping[str, Sequence[Claim]], cycle: int, seed: int) -> list[Metric]:
    """Return the Bradley-Terry strength, in nats, of each agent whose replies were compared.

    The games are the judges' claims about two agents' replies to one task, each won so far.  The
    intervals are of strengths fitted to episodes that are drawn anew.
    """
    episodes: dict[str, list[tuple[str, str, float]]] = {}
    for claim in chain.from_iterable(found.values()):
        if claim.over is not None:
            game = (claim.of.agent, claim.over.agent, claim.score)
            episodes.setdefault(claim.episode, []).append(game)
    units = list(episodes.values())
    intervals = resampled_all(units, lambda drawn: bradley_terry(chain.from_iterable(drawn)), seed)
    return [Metric(cycle, f"talk/rating@{agent}", *found) for agent, found in intervals.items()]


def known(people: Population, metrics: Iterable[Metric], cycle: int) -> Population:
    """Return the population with the trust and the ratings that were found in `cycle`."""
    now = {metric.name: metric.value for metric in metrics if metric.cycle == cycle}
    return people.known(
        {agent.name: now.get(f"judges/trust@{agent.name}", 1.0) for agent in people.agents},
        {agent.name: now.get(f"talk/rating@{agent.name}", 0.0) for agent in people.agents},
    )
