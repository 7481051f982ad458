"""Sides take turns, their order reversed every other time: in fresh processes, or in kept ones."""

import json
import os
import subprocess
import sys
import tempfile
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
    asked: str = "",
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
        asked: what the processes read.
    """
    found: dict[str, list[Measured]] = {side: [] for side in sides}
    for repetition in range(repetitions):
        for side in list(found)[:: -1 if repetition % 2 else 1]:
            done = subprocess.run(
                command(side),
                input=asked,
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


def keep_turns(
    cases: Sequence[str],
    sides: Iterable[str],
    command: Callable[[str], Sequence[str]],
    *,
    repetitions: int,
    own: Collection[str],
    brief: Callable[[Measured], str],
    environment: Mapping[str, str],
    after: Callable[[str, Mapping[str, list[Measured]]], None],
) -> dict[str, dict[str, list[Measured]]]:
    """Return by case what each side said, where getting ready takes longer than the turns.

    Each side has one process, which reads the name of a case and prints what it measured; when it
    reads a case for the first time it gets ready, and says so.  The arguments are `take_turns`'s.
    """
    kept = {side: _Kept(command(side), {**os.environ, **environment}) for side in sides}
    found: dict[str, dict[str, list[Measured]]] = {}

    def told(side: str, case: str) -> Measured | None:
        if (one := kept[side].ask(case)) is None:
            if side in own:
                sys.exit(f"{case}, {side} failed:\n{kept[side].errors()[-2000:]}")
            why = (kept[side].errors().strip().splitlines() or ["it said nothing"])[-1]
            print(f"{case}, {side}: left out from here on, it failed: {why}", flush=True)
            del kept[side], found[case][side]
        return one

    for case in cases:
        found[case] = {side: [] for side in kept}
        for side in list(kept):
            told(side, case)
        for repetition in range(repetitions):
            for side in list(kept)[:: -1 if repetition % 2 else 1]:
                if (one := told(side, case)) is not None:
                    found[case][side].append(one)
                    print(f"{case}, {side}: {brief(one)}", flush=True)
            after(case, found[case])
    for one in kept.values():
        one.process.kill()
    return found


class _Kept:
    """A process that is asked by a line, and answers by one that is a JSON object."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=dict(environment),
        )

    def ask(self, what: str) -> Measured | None:
        """Return its answer; `None`: it ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            print(what, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            return None
        lines = iter(self.process.stdout.readline, "")
        return next((json.loads(line) for line in lines if line.startswith("{")), None)

    def errors(self) -> str:
        """Return what it said on stderr."""
        self._said.seek(0)
        return self._said.read()


def _last(printed: str) -> Measured:
    return json.loads([line for line in printed.splitlines() if line.startswith("{")][-1])
