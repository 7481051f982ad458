"""Ratings: how strong each player is, from who beat whom (Bradley and Terry, 1952).

P(i beats j) = sigmoid(θ_i - θ_j).  Unlike Elo's, it doesn't depend on the order of the games.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

import numpy as np

Player = TypeVar("Player", bound=Hashable)

ITERATIONS = 100


def bradley_terry(
    games: Iterable[tuple[Player, Player, float]], ridge: float = 0.1
) -> Mapping[Player, float]:
    """Return each player's strength in nats, 0 on average, by Newton's method.

    Args:
        games: who played whom, and how far the first one won, in [0, 1]; a tie is 0.5.
        ridge: above 0; half the sum of squares, times it, is taken from the log-likelihood, so that
            who never lost has a finite strength, and groups that never met lie beside each other.
    """
    played = [game for game in games if game[0] != game[1]]
    players = list(dict.fromkeys(player for a, b, _ in played for player in (a, b)))
    if not players:
        return {}
    place = {player: i for i, player in enumerate(players)}
    first = np.array([place[a] for a, _, _ in played])
    second = np.array([place[b] for _, b, _ in played])
    won = np.array([score for _, _, score in played], dtype=np.float64)
    n = len(players)
    theta = np.zeros(n)
    for _ in range(ITERATIONS):
        p = 1 / (1 + np.exp(theta[second] - theta[first]))
        slope = -ridge * theta
        np.add.at(slope, first, won - p)
        np.add.at(slope, second, p - won)
        curve = np.eye(n) * ridge
        weight = p * (1 - p)
        for one, other in ((first, second), (second, first)):
            np.add.at(curve, (one, one), weight)
            np.add.at(curve, (one, other), -weight)
        step = np.linalg.solve(curve, slope)
        theta = theta + step / max(1.0, float(np.abs(step).max()))  # far steps overshoot
        if np.abs(step).max() < 1e-9:
            break
    return {player: float(theta[i] - theta.mean()) for player, i in place.items()}
