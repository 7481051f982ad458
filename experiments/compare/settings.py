"""In what runs differ: their settings, and what they were made with."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..files.described import as_now
from ..report.readings import Readings
from .table import NOTHING, Line, words

MADE = ("tasks", "file", "replay")
"""What of `made_with` is set side by side too: fingerprints, and what is replayed."""
WIDE = 40
"""So many characters of a setting are shown."""


def titles(runs: Sequence[Readings]) -> list[str]:
    """Return what the runs are called: their directories' names, in full where two are alike."""
    names = [run.path.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.path) for run in runs]


def leaves(run: Readings) -> dict[str, Any]:
    """Return what a run was set to and made with, flat.

    Options that came after it was made are at their defaults.
    """
    made = run.experiment.get("made_with") or {}
    own = {k: v for k, v in run.experiment.items() if k != "made_with"}
    found = as_now(own) | {f"made_with.{key}": made[key] for key in MADE if key in made}
    found.pop("name", None)
    return found


def differing(each: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Return the settings in which some differ."""
    keys = dict.fromkeys(key for some in each for key in some)
    lines = ((key, shortened([str(some.get(key, NOTHING)) for some in each])) for key in keys)
    return [words(key, said) for key, said in lines if len({*said}) > 1]


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
