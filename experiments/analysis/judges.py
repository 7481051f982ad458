"""Judges: how far each can be trusted, by all that it found so far.

Where answers are known a judge is held against them: its AUC is how often it finds the right one of
a right and a wrong answer to one question better.  If the interval holds 0.5 it is at chance, below
it is worse: it is named in the report.  From the next cycle on its weight is 2 AUC - 1, and none
where it is at chance, unless `trust` says otherwise; no label has any other say.  Where answers
aren't known, or by `agreement`, what judges agree about tells how good each is (Dawid and Skene,
1979), from three judges and a hundred claims on.

Both go by which of two replies a judge finds better, by marks too: a judge whose marks are all high
may rank as well as any, and one that knows which questions are hard may know nothing of the
answers.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from moot.agents.population import Population, Trust
from moot.protocols.journal import Metric
from moot.protocols.reliability.agreement import alpha, coincidences
from moot.protocols.reliability.bias import (
    consistency,
    fairness,
    length_bias,
    position_bias,
    self_preference,
)
from moot.protocols.reliability.rating import strengths
from moot.protocols.reliability.truth import dawid_skene

from .claims import Claim, claims, compared
from .rulings import Ruling
from .stats import FEWEST, Interval, mean_interval, resampled_sums, resampled_times

ENOUGH = 100
"""Claims that judges must have made before their agreement tells them apart: with fewer a panel of
equals was right more often (docs/lab-log.md)."""


def judged(
    rulings: Sequence[Ruling], cycle: int, seed: int, trust: Trust = "labels"
) -> list[Metric]:
    """Return what can be said of each judge (judges/WHAT@NAME), of all, and of whom they judged.

    Args:
        rulings: all so far.
        cycle: whose metrics these are.
        seed: of the bootstrap, whose units are episodes.
        trust: what judges are weighed by.
    """
    found = claims(rulings)
    pairs = {judge: compared(some) for judge, some in found.items()}
    metrics: list[Metric] = []
    areas: dict[str, Interval] = {}
    for judge, some in found.items():
        own = [one for one in rulings if one.judge == judge]
        area = _area(pairs[judge], seed)
        if area is not None:
            metrics.append(Metric(cycle, f"judges/auc@{judge}", *area))
            areas[judge] = area
        metrics += [
            Metric(cycle, f"judges/{name}@{judge}", value)
            for name, value in _habits(judge, some, found, own).items()
            if value is not None
        ]
    ratings = _ratings(pairs)
    weights = trusted(list(found), [*chain.from_iterable(ratings)], areas, trust)
    metrics += [Metric(cycle, f"judges/trust@{judge}", value) for judge, value in weights.items()]
    agreement = _agreement(ratings, seed) if len(found) > 1 else None
    metrics += [Metric(cycle, "judges/agreement", *agreement)] if agreement else []
    return [*metrics, *rated(found, cycle, seed)]


def _area(pairs: Iterable[Claim], seed: int) -> Interval | None:
    """Return the AUC within a question, with its interval over episodes; `None`: too few tell."""
    episodes: dict[str, list[float]] = {}
    for claim in pairs:
        if (right := claim.right) is not None:
            found = claim.score if right else 1 - claim.score
            wins = 0.5 if found == 0.5 else float(found > 0.5)
            episodes.setdefault(claim.episode, []).append(wins)
    if len(episodes) < FEWEST:
        return None
    return mean_interval([*map(fmean, episodes.values())], seed, within=(0, 1))


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
    ours: list[float] = []
    theirs: list[float] = []
    for claim in (c for c in some if c.about in others):
        over = None if claim.over is None else claim.over.agent
        more = claim.score - fmean(others[claim.about])
        if claim.of.agent == judge != over:
            ours.append(more)
        elif over == judge != claim.of.agent:
            ours.append(-more)
        elif over is None:
            theirs.append(more)
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
        "self_preference": self_preference(ours, theirs),
    }


def trusted(
    judges: Sequence[str],
    ratings: Sequence[Sequence[float | None]],
    areas: Mapping[str, Interval],
    trust: Trust,
) -> dict[str, float]:
    """Return how far each judge is to be trusted: 1 is never wrong, 0 at chance or worse.

    Args:
        judges: their names.
        ratings: claims × judges, as `_ratings` gives them of each episode.
        areas: the AUC of each judge of which it is known.
        trust: what they are weighed by.
    """
    skill = dict.fromkeys(judges, 1.0)
    if trust == "labels" and all(judge in areas for judge in judges):
        skill = {judge: 2 * area.value - 1 for judge, area in areas.items()}
    elif trust != "equal" and len(judges) > 2 and len(ratings) >= ENOUGH:
        labels = [[None if x is None else int(x) for x in item] for item in ratings]
        if estimate := dawid_skene(labels):
            skill = dict(zip(judges, estimate.informedness, strict=True))
    chance = {judge for judge, area in areas.items() if trust == "labels" and area.low <= 0.5}
    return {judge: 0.0 if judge in chance else skill[judge] for judge in judges}


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
