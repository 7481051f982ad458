"""Judges drawn anew: sums of what each episode holds give what all its claims give, one by one."""

from collections.abc import Sequence
from itertools import chain
from random import Random
from statistics import fmean

import pytest

from moot.experiments.analysis.claims import Claim, claims
from moot.experiments.analysis.judges import judged
from moot.experiments.analysis.rulings import Reply, Ruling
from moot.experiments.analysis.stats import Interval, mean_interval, resampled_all
from moot.protocols.reliability.agreement import krippendorff_alpha
from moot.protocols.reliability.discrimination import auc
from moot.protocols.reliability.rating import bradley_terry


def court(seed: int) -> list[Ruling]:
    """Return what judges say of pairs, some of them of one agent's; j's are readable, no even ones.

    So j's claims are of every episode, and these are drawn in the same order, whatever is told.
    """
    rng, found = Random(seed), list[Ruling]()
    scores: list[float | None] = [0.1, 0.4, 0.7, 0.9, None, 0.5]
    for episode in range(24):
        replies = [
            Reply(turn, rng.choice("abcd"), rng.choice([True, True, False, False, None]), 9)
            for turn in range(3)
        ]
        pairs = [(x, y) for x in replies for y in replies if x != y]
        found += [
            Ruling(f"e{episode}", judge, "preference", None, x, y, score)
            for judge in "jkl"
            for x, y in pairs
            for score in [rng.random() if judge == "j" else rng.choice(scores)]
        ]
    return found


def by_episode(some: Sequence[Claim]) -> list[list[Claim]]:
    units: dict[str, list[Claim]] = {}
    for claim in some:
        units.setdefault(claim.episode, []).append(claim)
    return list(units.values())


def known(value: float | None) -> dict[str, float]:
    return {} if value is None else {"it": value}


def area(episode: Sequence[Claim]) -> list[float]:
    """Return of each claim about a right and a wrong reply whether it is for the right one."""
    told = [(c.score, c.right) for c in episode if c.right is not None]
    found = [auc([score, 1 - score], [right, not right]) for score, right in told]
    return [one for one in found if one is not None]


def agreed(drawn: Sequence[Sequence[Claim]]) -> dict[str, float]:
    items: list[list[float | None]] = []
    for one in drawn:
        said: dict[tuple[str, int, int | None], list[float | None]] = {}
        for claim in one:
            if claim.score != 0.5:
                said.setdefault(claim.about, []).append(float(claim.score > 0.5))
        items += said.values()
    return known(krippendorff_alpha(items))


def between(episode: Sequence[Claim]) -> list[tuple[str, str, float]]:
    """Return a game for every two agents: how often, in the mean of all claims, the first won."""
    found: dict[tuple[str, str], list[float]] = {}
    for c in episode:
        if c.over is not None and c.of.agent < c.over.agent:
            found.setdefault((c.of.agent, c.over.agent), []).append(c.score)
        elif c.over is not None:
            found.setdefault((c.over.agent, c.of.agent), []).append(1 - c.score)
    return [(*who, fmean(scores)) for who, scores in found.items()]


def test_intervals_are_those_of_episodes_whose_claims_are_all_taken_anew() -> None:
    seed = 3
    rulings = court(seed)
    found = {m.name: (m.value, m.low, m.high) for m in judged(rulings, 0, seed)}
    said = claims(rulings)
    units = by_episode([*chain.from_iterable(said.values())])

    agreement = resampled_all(units, agreed, seed).get("it")
    expected: dict[str, Interval | None] = {"judges/agreement": agreement}
    for judge, some in said.items():
        areas = [fmean(told) for one in by_episode(some) if (told := area(one))]
        expected[f"judges/auc@{judge}"] = mean_interval(areas, seed, within=(0, 1))
    games = [between(one) for one in units]
    rated = resampled_all(games, lambda drawn: bradley_terry(chain.from_iterable(drawn)), seed)
    expected |= {f"talk/rating@{agent}": interval for agent, interval in rated.items()}

    assert len(rated) == 4
    for name, interval in expected.items():
        assert interval is not None
        assert found[name] == pytest.approx(tuple(interval), abs=1e-9)
