"""Speakers: how much each agent read and said, and how long it took."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from .drawing import MANY


@dataclass(frozen=True, slots=True)
class Speaker:
    """An agent's (or a group's) turns in one kind of phase, added up."""

    name: str
    group: str
    role: str
    turns: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    """Waited for completions, each counted in full though many were under way at once."""

    @property
    def tokens(self) -> int:
        """Tokens, read and said."""
        return self.tokens_in + self.tokens_out

    def __add__(self, other: "Speaker") -> "Speaker":
        """Return both together, under this one's name."""
        return replace(
            self,
            turns=self.turns + other.turns,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
            seconds=self.seconds + other.seconds,
        )


def speakers(folders: Iterable[Path]) -> list[Speaker]:
    """Return who spoke in `folders`, in order of appearance."""
    found: dict[str, Speaker] = {}
    for folder in folders:
        columns = ["agent", "group", "role", "tokens_in", "tokens_out", "latency_s"]
        table = pq.read_table(folder / "turns.parquet", columns=columns)
        sums = [(column, "sum") for column in columns[3:]]
        groups = table.group_by(["agent", "group", "role"], use_threads=False)
        for row in groups.aggregate([*sums, ([], "count_all")]).to_pylist():
            spoke = Speaker(
                name=row["agent"],
                group=row["group"],
                role=row["role"],
                turns=row["count_all"],
                tokens_in=row["tokens_in_sum"] or 0,
                tokens_out=row["tokens_out_sum"] or 0,
                seconds=row["latency_s_sum"] or 0.0,
            )
            found[spoke.name] = found[spoke.name] + spoke if spoke.name in found else spoke
    return list(found.values())


def few(everybody: Iterable[Speaker]) -> list[Speaker]:
    """Return the speakers as they are or, if they are many, by group."""
    people = list(everybody)
    if len(people) <= MANY:
        return people
    groups: dict[str, Speaker] = {}
    for one in people:
        before = groups.get(one.group, Speaker(one.group, one.group, one.role))
        groups[one.group] = before + one
    return list(groups.values())
