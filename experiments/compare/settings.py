"""In what runs differ: their settings, and what they were made with."""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from ..files.described import as_now, unusual
from ..report.readings import Readings
from .table import NOTHING, Line, words

MADE = ("tasks", "file", "replay")
"""What of `made_with` is set side by side too: fingerprints, and what is replayed."""
KIND = re.compile(r"\w+\.kind")
"""What of a run is of which kind: told also where others have no such thing."""
WIDE = 40
"""So many characters of a setting are shown."""


def titles(runs: Sequence[Readings]) -> list[str]:
    """Return what the runs are called: their directories' names, in full where two are alike."""
    names = [run.path.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run was set to and made with, flat; what came after it was made is at its default."""

    leaves: Mapping[str, str]
    unusual: Set[str]
    """Those that aren't at their defaults."""

    @classmethod
    def of(cls, run: Readings) -> "Settings":
        """Return a run's."""
        made = run.experiment.get("made_with") or {}
        own = {k: v for k, v in run.experiment.items() if k != "made_with"}
        beside = {f"made_with.{key}": str(made[key]) for key in MADE if key in made}
        told = {key: str(leaf) for key, leaf in as_now(own, run.path).items() if key != "name"}
        kinds = {key for key in told if KIND.fullmatch(key)}
        return cls(told | beside, unusual(own, run.path) | beside.keys() | kinds)

    def as_told(self, tell: Callable[[str, str], str | None]) -> "Settings":
        """Return the same with each leaf as `tell` has it of its key; `None`: without it."""
        each = ((key, tell(key, leaf)) for key, leaf in self.leaves.items())
        leaves = {key: leaf for key, leaf in each if leaf is not None}
        return Settings(leaves, self.unusual & leaves.keys())


def differing(each: Sequence[Settings]) -> list[Line]:
    """Return the leaves in which some differ.

    One that not all have, as those of one kind of method, is left out where it is at its default.
    """
    keys = dict.fromkeys(key for one in each for key in one.leaves)
    told = (
        (key, shortened([one.leaves.get(key, NOTHING) for one in each]))
        for key in keys
        if all(key in one.leaves for one in each) or any(key in one.unusual for one in each)
    )
    return [words(key, said) for key, said in told if len({*said}) > 1]


def shortened(said: Sequence[str]) -> list[str]:
    """Return each on one line of a bearable length, from where they begin to differ if need be."""
    lines = [" ".join(one.split()) if "\n" in one else one for one in said]
    if max(map(len, lines)) <= WIDE:
        return lines
    unlike = (i for i, letters in enumerate(zip(*lines, strict=False)) if len({*letters}) > 1)
    start = max(0, next(unlike, min(map(len, lines))) - WIDE // 4)
    cut = [line[start : start + WIDE] for line in lines]
    return [
        f"{'…' if start else ''}{part}{'…' if start + WIDE < len(line) else ''}"
        for part, line in zip(cut, lines, strict=True)
    ]
