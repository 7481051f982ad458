"""Conversations: what each episode came to, and a few of them whole, to be read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from moot.protocols.voting import plurality

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
class Came:
    """What an episode came to."""

    cycle: int
    episode: str
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

    came: Came
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


def came(talks: Mapping[int, Path]) -> list[Came]:
    """Return what all episodes came to, of the cycles whose folders these are."""
    return [one for cycle, folder in talks.items() for one in outcomes(cycle, folder)]


def outcomes(cycle: int, folder: Path) -> Iterator[Came]:
    """Yield what each episode of a cycle's talk came to, in the order they were written."""
    concluded = {
        e["episode"]: e
        for e in rows(
            folder / "episodes.parquet", ["episode", "reference", "answer", "expected", "correct"]
        )
    }
    columns = ["episode", "turn", "role", "heard", "answer", "correct"]
    turns = rows(folder / "turns.parquet", columns)
    for name, spoken in groupby(turns, key=lambda turn: turn["episode"]):
        if name in concluded:
            yield _came(cycle, concluded[name], list(spoken))


def _came(cycle: int, episode: Row, turns: list[Row]) -> Came:
    """Return what an episode came to; the synthesiser is the last to hear and not a policy."""
    known = episode["expected"] is not None
    right = bool(episode["correct"]) if known else None
    writers = [t for t in turns if t["heard"] and t["role"] != "policy"]
    heard = set(writers[-1]["heard"]) if writers and episode["reference"] is not None else set()
    voters = [t for t in turns if t["turn"] in heard and t["role"] == "policy"]
    majority = plurality([t["answer"] for t in voters]).winner
    if majority is None or episode["answer"] is None:
        return Came(cycle, episode["episode"], right, None, None)
    agreed = next(t for t in voters if t["answer"] == majority)
    return Came(
        cycle=cycle,
        episode=episode["episode"],
        right=right,
        differs=episode["answer"] != majority,
        majority_right=bool(agreed["correct"]) if known else None,
    )


def chosen(came: Iterable[Came]) -> list[Came]:
    """Return the first episode of each kind in the first cycle, then in the last."""
    everything = list(came)
    cycles = sorted({c.cycle for c in everything})
    first: dict[tuple[int, str], Came] = {}
    for one in everything:
        first.setdefault((one.cycle, one.kind), one)
    ends = dict.fromkeys((*cycles[:1], *cycles[-1:]))
    return [first[cycle, kind] for cycle in ends for kind in KINDS if (cycle, kind) in first]


def conversation(came: Came, folder: Path) -> Conversation:
    """Return a whole episode, as it lies in `folder`."""
    [episode] = rows_of(folder / "episodes.parquet", came.episode)
    turns = sorted(rows_of(folder / "turns.parquet", came.episode), key=lambda turn: turn["turn"])
    verdicts = rows_of(folder / "verdicts.parquet", came.episode)
    half = MOST_TURNS // 2
    shown = turns if len(turns) <= MOST_TURNS else turns[:half] + turns[-half:]
    return Conversation(
        came=came,
        episode=episode,
        rounds=tuple((n, tuple(some)) for n, some in groupby(shown, key=lambda t: t["round"])),
        shown=frozenset(turn["turn"] for turn in shown),
        turns=len(turns),
        verdicts={
            of: tuple(v for v in verdicts if v["of"] == of) for of in {v["of"] for v in verdicts}
        },
    )
