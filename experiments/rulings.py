"""Rulings: every verdict of a judge beside what is known of the turns that it is about."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from moot.protocols.equivalent import SAME_AS
from moot.protocols.rubrics.criteria import POINTS


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
    points: float = 1.0
    """What the criterion is worth; below 0 it names something bad."""


def rulings(folder: Path) -> Iterator[Ruling]:
    """Yield the rulings of the talk in `folder`, in the order they were made.

    A ruling is by a `judge`.  Who picks or writes a reference, which answers then match or don't,
    has not judged them one by one.  Whether a reply comes to the same as the reference is known
    where both could be read, whatever the right answer is.
    """
    columns = ["episode", "turn", "agent", "role", "answer", "correct", "text"]
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
    same, points = _references(folder, turns), _points(folder)
    for row in pq.read_table(folder / "verdicts.parquet").to_pylist():
        place, criterion = (row["episode"], row["of"]), row["criterion"]
        judge = judges.get((row["episode"], row["by"]))
        if judge is not None and row["kind"] != "match":
            reply = replies[place]
            yield Ruling(
                episode=row["episode"],
                judge=judge,
                kind=row["kind"],
                criterion=criterion,
                of=replace(reply, correct=same.get(place)) if criterion == SAME_AS else reply,
                over=replies.get((row["episode"], row["over"])),
                score=row["score"],
                points=points.get((row["episode"], criterion), 1.0),
            )


def _references(
    folder: Path, turns: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, int], bool | None]:
    """Return, of each turn, whether its answer is the reference's; `None`: one can't be read."""
    columns = ["episode", "reference"]
    episodes = pq.read_table(folder / "episodes.parquet", columns=columns).to_pylist()
    texts = {row["episode"]: row["reference"] for row in episodes}
    read = {row["episode"]: row["answer"] for row in turns if row["text"] == texts[row["episode"]]}
    found: dict[tuple[str, int], bool | None] = {}
    for row in turns:
        both = row["answer"], read.get(row["episode"])
        found[row["episode"], row["turn"]] = None if None in both else both[0] == both[1]
    return found


def _points(folder: Path) -> dict[tuple[str, str], float]:
    """Return what each criterion of each episode's rubric is worth."""
    columns = ["episode", "rubric"]
    episodes = pq.read_table(folder / "episodes.parquet", columns=columns).to_pylist()
    lines = [(row["episode"], POINTS.match(line)) for row in episodes for line in row["rubric"]]
    return {(e, it.string[it.end() :].strip()): float(it[1]) for e, it in lines if it is not None}
