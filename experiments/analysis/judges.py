"""Judges: how far each can be trusted, by all that it found so far.

Where answers are known a judge is held against them: its AUC is how often it finds the right one of
a right and a wrong answer to one question better.  If the interval holds 0.5 it can't be told from
chance, below it is worse: it is named in the report.  From the next cycle on its weight is
2 AUC - 1, and none where it can't be told from chance, unless `trust` says otherwise; no label has
any other say.  By `people` it is held against what people prefer in the same way.  Where answers
aren't known, or by `agreement`, what judges agree about tells how good each is (Dawid and Skene,
1979), from three judges and a hundred claims on.  People themselves always weigh 1: who asks them
wants to hear them.

All go by which of two replies a judge finds better, by marks too: a judge whose marks are all high
may rank as well as any, and one that knows which questions are hard may know nothing of the
answers.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain
from statistics import fmean

import numpy as np

from moot.agents.population import Population, Trust
from moot.protocols.equivalent import SAME_AS
from moot.protocols.journal import Metric
from moot.protocols.reliability.agreement import alpha, coincidences
from moot.protocols.reliability.truth import dawid_skene

from .claims import Claim, claims, compared
from .habits import habits
from .ratings import rated
from .rulings import Ruling
from .stats import FEWEST, Interval, mean_by_unit, not_certain, resampled_sums
from .with_people import with_people

ENOUGH = 100
"""Claims that judges must have made before their agreement tells them apart: with fewer a panel of
equals was right more often (docs/lab-log.md)."""


def judged(
    rulings: Sequence[Ruling],
    cycle: int,
    seed: int,
    trust: Trust = "labels",
    people: Set[str] = frozenset(),
) -> list[Metric]:
    """Return what can be said of each judge (judges/WHAT@NAME), of all, and of whom they judged.

    Args:
        rulings: all so far.
        cycle: whose metrics these are.
        seed: of the bootstrap, whose units are tasks.
        trust: what judges are weighed by.
        people: which of them are persons.
    """
    found = claims(rulings)
    pairs = {judge: compared(some) for judge, some in found.items()}
    metrics: list[Metric] = []
    areas: dict[str, Interval] = {}
    for judge in found:
        own = [one for one in rulings if one.judge == judge]
        unread = fmean(one.score is None and not one.declined for one in own)
        metrics.append(Metric(cycle, f"judges/verdicts@{judge}", len(own)))
        metrics.append(Metric(cycle, f"judges/unreadable@{judge}", unread))
        if judge in people:
            declined = fmean(one.declined for one in own)
            metrics.append(Metric(cycle, f"judges/declined@{judge}", declined))
        if (area := _area(pairs[judge], seed)) is not None:
            metrics.append(Metric(cycle, f"judges/auc@{judge}", *area))
            areas[judge] = area
        metrics += [
            Metric(cycle, f"judges/{name}@{judge}", *interval)
            for name, interval in habits(judge, found, seed).items()
        ]
    ratings = _ratings(pairs)
    alike = with_people(pairs, people, seed)
    metrics += [Metric(cycle, f"judges/with_people@{j}", *often) for j, often in alike.items()]
    against = alike if trust == "people" else areas
    newest = chain.from_iterable(_ratings(_newest(pairs)))
    weights = trusted(list(found), [*newest], against, trust)
    weights |= dict.fromkeys(people & found.keys(), 1.0)
    metrics += [Metric(cycle, f"judges/trust@{judge}", value) for judge, value in weights.items()]
    agreement = _agreement(ratings, seed) if len(found) > 1 else None
    metrics += [Metric(cycle, "judges/agreement", *agreement)] if agreement else []
    better = claims(one for one in rulings if one.criterion != SAME_AS)
    strong = rated(chain.from_iterable(map(compared, better.values())), seed)
    return metrics + [Metric(cycle, f"talk/rating@{agent}", *of) for agent, of in strong.items()]


def _area(pairs: Iterable[Claim], seed: int) -> Interval | None:
    """Return the AUC within a question, with its interval over tasks; `None`: too few tell."""
    found = [(c.task, c.score if c.right else 1 - c.score) for c in pairs if c.right is not None]
    wins = [(task, 0.5 if p == 0.5 else float(p > 0.5)) for task, p in found]
    return mean_by_unit(wins, seed, (0, 1))


def _agreement(ratings: Sequence[Sequence[Sequence[float | None]]], seed: int) -> Interval | None:
    """Return Krippendorff's alpha of all claims, with its interval over tasks.

    The claims of one task are about much the same replies: one by one they'd seem to tell more.
    `None`: fewer than 8 tell.
    """
    values = 0.0, 1.0
    tables = [coincidences(items, values).ravel() for items in ratings]
    tables = [table for table in tables if table.any()]
    if len(tables) < FEWEST:
        return None

    def agreed(sums: Sequence[float]) -> Mapping[str, float]:
        value = alpha(np.reshape(sums, (2, 2)), values)
        return {} if value is None else {"alpha": value}

    found = resampled_sums(tables, agreed, seed).get("alpha")
    return found and not_certain(found, len(tables), (-1, 1))


def trusted(
    judges: Sequence[str],
    ratings: Sequence[Sequence[float | None]],
    areas: Mapping[str, Interval],
    trust: Trust,
) -> dict[str, float]:
    """Return how far each judge is to be trusted: 1 is never wrong, 0 at chance or worse.

    By labels, or by people, a judge of which too little is known weighs as much as those do that
    have a weight.

    Args:
        judges: their names.
        ratings: claims × judges, as `_ratings` gives them of each task's last episode.
        areas: how often each judge of which it is known finds the better of two replies: by labels
            its AUC.
        trust: what they are weighed by.
    """
    skill = dict.fromkeys(judges, 1.0)
    held = areas if trust in ("labels", "people") else {}
    if held:
        told = {judge: 2 * area.value - 1 for judge, area in held.items() if area.low > 0.5}
        skill = dict.fromkeys(judges, fmean(told.values()) if told else 1.0) | told
    elif trust != "equal" and len(judges) > 2 and len(ratings) >= ENOUGH:
        labels = [[None if x is None else int(x) for x in item] for item in ratings]
        if estimate := dawid_skene(labels):
            skill = dict(zip(judges, estimate.informedness, strict=True))
    chance = {judge for judge, area in held.items() if area.low <= 0.5}
    return {judge: 0.0 if judge in chance else skill[judge] for judge in judges}


def _newest(found: Mapping[str, Sequence[Claim]]) -> dict[str, list[Claim]]:
    """Return the claims of each task's last episode that tell the two replies apart.

    In earlier ones who repeats itself says the same: to count it as independent would take it for
    skill.
    """
    told = {judge: [c for c in some if c.score != 0.5] for judge, some in found.items()}
    last: dict[str, str] = {}
    for c in chain.from_iterable(told.values()):  # from cycle 1000 on the longer name is later
        last[c.task] = max(last.get(c.task, ""), c.episode, key=lambda name: (len(name), name))
    return {judge: [c for c in some if c.episode == last[c.task]] for judge, some in told.items()}


def _ratings(found: Mapping[str, Sequence[Claim]]) -> list[list[list[float | None]]]:
    """Return tasks × claims × judges: whether each found it so (1) or not (0)."""
    tasks: dict[str, dict[tuple[str, int, int | None], dict[str, float]]] = {}
    for judge, some in found.items():
        for c in some:
            if c.score != 0.5:
                items = tasks.setdefault(c.task, {})
                items.setdefault(c.about, {})[judge] = float(c.score > 0.5)
    return [
        [[said.get(judge) for judge in found] for said in items.values()]
        for items in tasks.values()
    ]


def known(
    people: Population, metrics: Iterable[Metric], cycle: int, persons: Set[str] = frozenset()
) -> Population:
    """Return the population with the trust and the ratings that were found in `cycle`.

    Who hasn't judged yet weighs as those do who have, but for `persons`, who weigh 1.
    """
    now = {metric.name: metric.value for metric in metrics if metric.cycle == cycle}
    trust = {name: now.get(f"judges/trust@{name}") for name in (a.name for a in people.agents)}
    heard = [value for name, value in trust.items() if value and name not in persons]
    usual = fmean(heard) if heard else 1.0
    return people.known(
        {
            name: 1.0 if name in persons else usual if value is None else value
            for name, value in trust.items()
        },
        {agent.name: now.get(f"talk/rating@{agent.name}", 0.0) for agent in people.agents},
    )
