"""Conversations: what each episode came to, and a few of them whole, to be read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from .readings import Row, rows, rows_of

MOST_TURNS = 40
"""Longer episodes are shown by their first and last turns."""
SHORT = 160
"""Turns of up to so many characters stand side by side."""

RIGHT = "the population was right"
WRONG = "the population was wrong"
DIFFERS = "the reference differs from the majority"
UNKNOWN = "the right answer isn't known"
KINDS = (RIGHT, WRONG, DIFFERS, UNKNOWN)


@dataclass(frozen=True, slots=True)
class Ending:
    """What an episode came to."""

    cycle: int
    episode: str
    protocol: str
    right: bool | None
    """Whether its answer is right (none given isn't); `None`: no answer is known."""
    differs: bool | None
    """Whether the synthesised reference differs from the majority; `None`: there weren't both."""
    majority_right: bool | None
    """Whether the majority is right; `None`: no answer is known, or there is no majority."""

    @property
    def kind(self) -> str:
        """What it is an example of."""
        if self.differs:
            return DIFFERS
        return UNKNOWN if self.right is None else RIGHT if self.right else WRONG


@dataclass(frozen=True, slots=True)
class Conversation:
    """An episode, whole but for the middle of a very long one."""

    ending: Ending
    episode: Row
    rounds: tuple[tuple[int, tuple[Row, ...]], ...]
    """The turns that are shown, by round."""
    shown: frozenset[int]
    turns: int
    verdicts: Mapping[int, tuple[Row, ...]]
    """What was found about each turn."""

    def beside(self, turns: Iterable[Row]) -> bool:
        """Return whether a round's turns are short and unheard by each other."""
        some = list(turns)
        own = {turn["turn"] for turn in some}
        return len(some) > 1 and all(
            len(turn["text"]) <= SHORT and own.isdisjoint(turn["heard"] or ()) for turn in some
        )


def endings(talks: Mapping[int, Path]) -> list[Ending]:
    """Return what all episodes came to, of the cycles whose folders these are."""
    columns = ["episode", "protocol", "answer", "majority", "majority_correct"]
    return [
        Ending(
            cycle=cycle,
            episode=row["episode"],
            protocol=row["protocol"],
            right=None if row["expected"] is None else bool(row["correct"]),
            differs=_differ(row["answer"], row["majority"]),
            majority_right=row["majority_correct"],
        )
        for cycle, folder in talks.items()
        for row in rows(folder / "episodes.parquet", [*columns, "expected", "correct"])
    ]


def _differ(answer: str | None, majority: str | None) -> bool | None:
    return None if answer is None or majority is None else answer != majority


def chosen(episodes: Iterable[Ending]) -> list[Ending]:
    """Return the first episode of each kind in the first cycle, then in the last."""
    everything = list(episodes)
    cycles = sorted({one.cycle for one in everything})
    first: dict[tuple[int, str], Ending] = {}
    for one in everything:
        first.setdefault((one.cycle, one.kind), one)
    ends = dict.fromkeys((*cycles[:1], *cycles[-1:]))
    return [first[cycle, kind] for cycle in ends for kind in KINDS if (cycle, kind) in first]


def conversation(ending: Ending, folder: Path) -> Conversation:
    """Return a whole episode, as it lies in `folder`."""
    [episode] = rows_of(folder / "episodes.parquet", ending.episode)
    turns = sorted(rows_of(folder / "turns.parquet", ending.episode), key=lambda turn: turn["turn"])
    verdicts = rows_of(folder / "verdicts.parquet", ending.episode)
    half = MOST_TURNS // 2
    shown = turns if len(turns) <= MOST_TURNS else turns[:half] + turns[-half:]
    return Conversation(
        ending=ending,
        episode=episode,
        rounds=tuple((n, tuple(some)) for n, some in groupby(shown, key=lambda t: t["round"])),
        shown=frozenset(turn["turn"] for turn in shown),
        turns=len(turns),
        verdicts={
            of: tuple(v for v in verdicts if v["of"] == of) for of in {v["of"] for v in verdicts}
        },
    )
