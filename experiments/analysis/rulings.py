"""Rulings: every verdict of a judge beside what is known of the turns that it is about."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from moot.protocols.equivalent import SAME_AS
from moot.protocols.rubrics.criteria import POINTS

Row = Mapping[str, Any]
"""A row of one of a talk's files."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A turn that was judged."""

    turn: int
    agent: str
    correct: bool | None
    """By the task's verifier, to which a policy's that can't be read is wrong; `None`: no answer is
    known, or it is no answer."""
    length: int | None
    """In characters; `None`: it isn't known how much of it the judge saw."""


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
    declined: bool = False
    """Whether the judge, a person, said that they can't tell."""
    points: float = 1.0
    """What the criterion is worth; below 0 it names something bad."""


def rulings(folder: Path) -> Iterator[Ruling]:
    """Yield the rulings of the talk in `folder`, in the order they were made.

    A ruling is by a `judge`.  Who picks or writes a reference, which answers then match or don't,
    has not judged them one by one.  Who judges sameness is held to the reference, right or wrong.
    """
    columns = ["episode", "turn", "agent", "role", "answer", "correct", "text", "finish", "heard"]
    turns = pq.read_table(folder / "turns.parquet", columns=columns).to_pylist()
    judges = {(row["episode"], row["turn"]): row for row in turns if row["role"] == "judge"}
    columns = ["episode", "answer", "correct", "expected", "rubric"]
    episodes = pq.read_table(folder / "episodes.parquet", columns=columns).to_pylist()
    references = {row["episode"]: row for row in episodes}
    declined = {(row["episode"], row["turn"]) for row in turns if row["finish"] == "declined"}
    replies = {
        (row["episode"], row["turn"]): Reply(
            row["turn"],
            row["agent"],
            _right(row, references[row["episode"]]),
            len(row["text"]),
        )
        for row in turns
    }
    same = {(r["episode"], r["turn"]): _same(r, references[r["episode"]]) for r in turns}
    points = {(r["episode"], text): p for r in episodes for text, p in _worth(r["rubric"]).items()}
    for row in pq.read_table(folder / "verdicts.parquet").to_pylist():
        place, criterion = (row["episode"], row["of"]), row["criterion"]
        judge = judges.get((row["episode"], row["by"]))
        if judge is not None and row["kind"] != "match":
            reply, over = replies[place], replies.get((row["episode"], row["over"]))
            if over is not None and _heard(judge, judges) - {reply.turn, over.turn}:
                # As in a trial: it heard what was said for two answers, and not the replies.
                reply, over = replace(reply, length=None), replace(over, length=None)
            yield Ruling(
                episode=row["episode"],
                judge=judge["agent"],
                kind=row["kind"],
                criterion=criterion,
                of=replace(reply, correct=same.get(place)) if criterion == SAME_AS else reply,
                over=over,
                score=row["score"],
                declined=(row["episode"], row["by"]) in declined,
                points=points.get((row["episode"], criterion), 1.0),
            )


def _heard(judge: Row, judges: Mapping[tuple[str, int], Row]) -> set[int]:
    """Return the turns that a judge heard in one of its own, but for its reasons before."""
    before = {turn: judges.get((judge["episode"], turn)) for turn in judge["heard"]}
    return {n for n, row in before.items() if row is None or row["agent"] != judge["agent"]}


def _right(turn: Row, episode: Row) -> bool | None:
    unread = turn["role"] == "policy" and turn["answer"] is None
    return False if unread and episode["expected"] is not None else turn["correct"]


def _same(turn: Row, reference: Row) -> bool | None:
    """Return whether a turn's answer is the reference's, by what is known of both; `None`: nothing.

    Where no answer is known, words that differ may come to the same: that is what judges are for.
    """
    one, other = turn["correct"], reference["correct"]
    if None in (one, other, turn["answer"], reference["answer"]):
        return None
    if turn["answer"] == reference["answer"] or (one and other):
        return True
    return False if one != other else None


def _worth(rubric: Sequence[str]) -> dict[str, float]:
    """Return what each criterion of a rubric's lines is worth."""
    read = filter(None, map(POINTS.match, rubric))
    return {found.string[found.end() :].strip(): float(found[1]) for found in read}
