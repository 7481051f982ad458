"""Sides take turns in fresh processes, their order reversed every other time."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

Measured = dict[str, Any]
"""What a side's process printed last that is a JSON object; libraries have their say after it."""


def take_turns(
    case: str,
    sides: Iterable[str],
    command: Callable[[str], Sequence[str]],
    *,
    repetitions: int,
    own: Collection[str],
    brief: Callable[[Measured], str],
    environment: Mapping[str, str],
    after: Callable[[Mapping[str, list[Measured]]], None] = lambda found: None,
) -> dict[str, list[Measured]]:
    """Return what each side said, a repetition after the other; a peer that failed is left out.

    Args:
        case: what is measured, for what is printed.
        sides: by name, in the order of the first repetition.
        command: what is run for a side.
        repetitions: how often each side is run.
        own: the sides that end all of it where they fail; any other is named and left out.
        brief: in a few words what was measured.
        environment: variables for the processes, beside ours.
        after: looks at what was said so far when a repetition is over.
    """
    found: dict[str, list[Measured]] = {side: [] for side in sides}
    for repetition in range(repetitions):
        for side in list(found)[:: -1 if repetition % 2 else 1]:
            done = subprocess.run(
                command(side),
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, **environment},
            )
            if done.returncode == 0:
                found[side].append(_last(done.stdout))
                print(f"{case}, {side}: {brief(found[side][-1])}", flush=True)
            elif side in own:
                sys.exit(f"{case}, {side} failed with {done.returncode}:\n{done.stderr[-2000:]}")
            else:
                why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
                print(f"{case}, {side}: left out, it failed with {done.returncode}: {why}")
                del found[side]
        after(found)
    return found


def _last(printed: str) -> Measured:
    return json.loads([line for line in printed.splitlines() if line.startswith("{")][-1])
