"""Turns of agents who hear each other, as rows of turns.parquet."""

from collections.abc import Mapping, Sequence
from typing import Any

RIGHT = "4"


def turn(
    n: int,
    agent: str,
    heard: tuple[int, ...] = (),
    role: str = "policy",
    episode: str = "e",
    answer: str | None = None,
    round_: int = 0,
) -> Mapping[str, Any]:
    correct = None if answer is None else answer == RIGHT
    named = {"agent": agent, "group": agent.partition("-")[0], "role": role}
    when = {"cycle": 0, "episode": episode, "task": episode.partition("/")[0], "round": round_}
    return {**when, "turn": n, **named, "heard": [*heard], "answer": answer, "correct": correct}


def talked(
    first: Sequence[str | None],
    then: Sequence[str | None],
    heard: Mapping[int, tuple[int, ...]],
    episode: str = "e",
) -> list[Mapping[str, Any]]:
    """Return two rounds of an episode; in the second, agent i has heard those of `heard`."""
    names = ("ann", "bob", "cat")
    alone = [
        turn(i, name, episode=episode, answer=answer)
        for i, (name, answer) in enumerate(zip(names, first, strict=False))
    ]
    return alone + [
        turn(len(first) + i, name, heard.get(i, ()), episode=episode, answer=answer, round_=1)
        for i, (name, answer) in enumerate(zip(names, then, strict=False))
    ]


def star(n: int) -> list[Mapping[str, Any]]:
    """Return n solvers that an anchor hears."""
    solvers = [turn(i, f"solver-{i}") for i in range(n)]
    return [*solvers, turn(n, "anchor", tuple(range(n)), "critic")]
