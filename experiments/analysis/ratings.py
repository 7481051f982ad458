"""Ratings: how strong each agent's replies are, from who was found better than whom."""

from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from moot.protocols.reliability.rating import spreads, strengths

from .claims import Claim
from .stats import FEWEST, Interval, resampled_times

Z = NormalDist().inv_cdf(0.975)


def rated(claims: Iterable[Claim], seed: int) -> dict[str, Interval]:
    """Return the Bradley-Terry strength, in nats, of each agent with games on 8 tasks.

    The games are the judges' claims about two agents' replies to one task, each won so far: marks
    are compared.  All of two agents on one task are one game, for they are about much the same.
    The intervals are of strengths fitted to tasks that are drawn anew.  These tell nothing of who
    always wins, or never: where anybody does, the intervals are as wide as the likelihood has them.

    Args:
        claims: of all judges.
        seed: of the bootstrap, whose units are tasks.
    """
    games = [(c.task, c.of.agent, c.over.agent, c.score) for c in claims if c.over is not None]
    tasks = {name: i for i, name in enumerate(dict.fromkeys(game[0] for game in games))}
    games = [game for game in games if game[1] != game[2]]
    names = list(dict.fromkeys(name for _, *both, _ in games for name in both))
    place, n = {name: i for i, name in enumerate(names)}, len(names)
    units = np.array([tasks[task] for task, *_ in games] * 2, dtype=np.int64)
    ends = [(place[a], place[b]) for _, a, b, _ in games]
    cells = np.array([a * n + b for a, b in ends] + [b * n + a for a, b in ends], dtype=np.int64)
    alike = Counter((task, *sorted(both)) for task, *both, _ in games)
    weight = [1 / alike[task, *sorted(both)] for task, *both, _ in games]
    won = np.array([x for *_, x in games] + [1 - x for *_, x in games]) * np.array(weight * 2)

    def wins(times: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.bincount(cells, times[units] * won, n * n).reshape(n, n).astype(np.float64)

    def drawn(times: NDArray[np.int64]) -> Mapping[str, float]:
        fitted = dict(zip(names, strengths(wins(times)).tolist(), strict=True))
        return {name: fitted[name] for name in enough if not np.isnan(fitted[name])}

    met = {name: {task for task, *both, _ in games if name in both} for name in names}
    enough = [name for name in names if len(met[name]) >= FEWEST]
    if not enough:
        return {}
    whole = wins(np.ones(len(tasks), dtype=np.int64))
    found = resampled_times(len(tasks), drawn, seed)
    if whole.sum(0).all() and whole.sum(1).all():
        return found
    errors = dict(zip(names, (Z * spreads(whole, strengths(whole))).tolist(), strict=True))
    return {
        name: Interval(of.value, min(of.low, of.value - by), max(of.high, of.value + by))
        for name, of in found.items()
        for by in [errors[name]]
    }
