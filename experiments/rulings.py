"""Rulings: every verdict of a judge beside what is known of the turns that it is about."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq


@dataclass(frozen=True, slots=True)
class Reply:
    """A turn that was judged."""

    turn: int
    agent: str
    correct: bool | None
    """By the task's verifier; `None`: no answer is known, or none could be read."""
    length: int
    """In characters."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one judge found of one reply, or of one over another."""

    episode: str
    judge: str
    kind: str
    criterion: str | None
    of: Reply
    over: Reply | None
    score: float | None


def rulings(folder: Path) -> Iterator[Ruling]:
    """Yield the rulings of the talk in `folder`, in the order they were made.

    A ruling is by a `judge`.  Who picks or writes a reference, which answers then match or don't,
    has not judged them one by one.
    """
    columns = ["episode", "turn", "agent", "role", "correct", "text"]
    turns = pq.read_table(folder / "turns.parquet", columns=columns).to_pylist()
    judges = {
        (row["episode"], row["turn"]): row["agent"] for row in turns if row["role"] == "judge"
    }
    replies = {
        (row["episode"], row["turn"]): Reply(
            row["turn"], row["agent"], row["correct"], len(row["text"])
        )
        for row in turns
    }
    for row in pq.read_table(folder / "verdicts.parquet").to_pylist():
        judge = judges.get((row["episode"], row["by"]))
        if judge is not None and row["kind"] != "match":
            yield Ruling(
                episode=row["episode"],
                judge=judge,
                kind=row["kind"],
                criterion=row["criterion"],
                of=replies[row["episode"], row["of"]],
                over=replies.get((row["episode"], row["over"])),
                score=row["score"],
            )
