"""Judges: how far each can be trusted, by all that it found so far.

Where answers are known a judge is held against them: its AUC is how often it finds the right one of
a right and a wrong answer better.  If the interval holds 0.5 it is at chance, below it is worse: it
is named in the report and gets no weight from the next cycle on.  No label has any other say.
Else, from three judges and a hundred claims on, what they agree about tells how good each is (Dawid
and Skene, 1979).
"""

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from moot.agents.population import Population
from moot.protocols.journal import Metric
from moot.protocols.reliability.agreement import alpha, coincidences
from moot.protocols.reliability.bias import (
    consistency,
    fairness,
    length_bias,
    position_bias,
    self_preference,
)
from moot.protocols.reliability.discrimination import auc_by_counts
from moot.protocols.reliability.rating import strengths
from moot.protocols.reliability.truth import dawid_skene

from .claims import Claim, claims
from .rulings import Ruling
from .stats import Interval, contrasted, resampled_sums, resampled_times

ENOUGH = 100
"""Claims that judges must have made before their agreement tells them apart: with fewer a panel of
equals was right more often (docs/lab-log.md)."""


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
    held = [*chain.from_iterable(episodes.values())]
    units = np.repeat(np.arange(len(episodes)), [len(same) for same in episodes.values()])
    scores, places = np.unique([score for score, _ in held], return_inverse=True)
    right = np.array([truth for _, truth in held])

    def drawn(times: NDArray[np.int64]) -> Mapping[str, float]:
        often, n = times[units], len(scores)
        counts = [np.bincount(places, often * truth, n) for truth in (right, ~right)]
        return {} if (value := auc_by_counts(*counts)) is None else {"auc": value}

    return resampled_times(len(episodes), drawn, seed).get("auc")


def _agreement(ratings: Sequence[Sequence[Sequence[float | None]]], seed: int) -> Interval | None:
    """Return Krippendorff's alpha of all claims, with its interval over episodes.

    The claims of one episode are about the same few replies: one by one they'd seem to tell more.
    """
    values = 0.0, 1.0
    tables = [coincidences(items, values).ravel() for items in ratings]

    def agreed(sums: Sequence[float]) -> Mapping[str, float]:
        value = alpha(np.reshape(sums, (2, 2)), values)
        return {} if value is None else {"alpha": value}

    return resampled_sums(tables, agreed, seed).get("alpha")


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
    games = [
        (claim.episode, claim.of.agent, claim.over.agent, claim.score)
        for claim in chain.from_iterable(found.values())
        if claim.over is not None
    ]
    episodes = {name: i for i, name in enumerate(dict.fromkeys(game[0] for game in games))}
    games = [game for game in games if game[1] != game[2]]
    names = list(dict.fromkeys(name for _, *both, _ in games for name in both))
    place, n = {name: i for i, name in enumerate(names)}, len(names)
    units = np.array([episodes[episode] for episode, *_ in games] * 2, dtype=np.int64)
    ends = [(place[a], place[b]) for _, a, b, _ in games]
    cells = np.array([a * n + b for a, b in ends] + [b * n + a for a, b in ends], dtype=np.int64)
    won = np.array([x for *_, x in games] + [1 - x for *_, x in games])

    def drawn(times: NDArray[np.int64]) -> Mapping[str, float]:
        wins = np.bincount(cells, times[units] * won, n * n).reshape(n, n)
        fitted = zip(names, strengths(wins).tolist(), strict=True)
        return {name: strength for name, strength in fitted if not math.isnan(strength)}

    intervals = resampled_times(len(episodes), drawn, seed)
    return [Metric(cycle, f"talk/rating@{agent}", *found) for agent, found in intervals.items()]


def known(people: Population, metrics: Iterable[Metric], cycle: int) -> Population:
    """Return the population with the trust and the ratings that were found in `cycle`."""
    now = {metric.name: metric.value for metric in metrics if metric.cycle == cycle}
    return people.known(
        {agent.name: now.get(f"judges/trust@{agent.name}", 1.0) for agent in people.agents},
        {agent.name: now.get(f"talk/rating@{agent.name}", 0.0) for agent in people.agents},
    )
