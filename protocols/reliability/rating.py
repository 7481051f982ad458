"""Ratings: how strong each player is, from who beat whom (Bradley and Terry, 1952).

P(i beats j) = sigmoid(θ_i - θ_j).  Unlike Elo's, it doesn't depend on the order of the games.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypeVar

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
    wins = np.zeros((len(players), len(players)))
    for a, b, won in played:
        wins[place[a], place[b]] += won
        wins[place[b], place[a]] += 1 - won
    return dict(zip(players, strengths(wins, ridge).tolist(), strict=True))


def strengths(wins: Any, ridge: float = 0.1) -> Any:
    """Return (n,) `bradley_terry`'s strengths of n players; nan of who has met nobody.

    Args:
        wins: (n, n) how far each one won against each other, over all their games; with the other's
            wins it is how many they were.  None against oneself.
        ridge: as there.
    """
    there = (wins + wins.T).any(1)
    found = np.full(len(wins), np.nan)
    if there.any():
        theta = _fitted(wins[np.ix_(there, there)], ridge)
        found[there] = theta - theta.mean()
    return found


def spreads(wins: Any, theta: Any, ridge: float = 0.1) -> Any:
    """Return (n,) the standard error of each of `strengths`, by the curvature at its top.

    It is finite where a player never lost, of which games that are drawn anew tell nothing.  Games
    are taken to be independent of each other.

    Args:
        wins: (n, n) as of `strengths`.
        theta: (n,) what that found; where it is nan, so is what is returned.
        ridge: as there.
    """
    there = ~np.isnan(theta)
    n, found = int(there.sum()), np.full(len(theta), np.nan)
    if n:
        games = (wins + wins.T)[np.ix_(there, there)]
        centred = np.eye(n) - 1 / n
        curved = centred @ np.linalg.inv(_curvature(games, theta[there], ridge)) @ centred
        found[there] = np.sqrt(np.diag(curved))
    return found


def _curvature(games: Any, theta: Any, ridge: float) -> Any:
    """Return (n, n) minus the second derivatives of the penalised log-likelihood."""
    p = 1 / (1 + np.exp(theta - theta[:, None]))
    weight = games * p * (1 - p)
    return np.diag(weight.sum(1) + ridge) - weight


def _fitted(wins: Any, ridge: float) -> Any:
    """Return (n,) where the penalised likelihood is highest."""
    games, theta = wins + wins.T, np.zeros(len(wins))
    for _ in range(ITERATIONS):
        p = 1 / (1 + np.exp(theta - theta[:, None]))  # that the row beats the column
        slope = (wins - games * p).sum(1) - ridge * theta
        step = np.linalg.solve(_curvature(games, theta, ridge), slope)
        theta = theta + step / max(1.0, float(np.abs(step).max()))  # far steps overshoot
        if np.abs(step).max() < 1e-9:
            break
    return theta
