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
Command = Callable[[str], Sequence[str]]
"""What is run for a side."""


class Failed(Exception):
    """A side's process came to an end."""

    def __init__(self, how: str, errors: str) -> None:
        super().__init__(how)
        self.errors = errors
        """What it said on stderr."""


def take_turns(
    case: str,
    sides: Iterable[str],
    ask: Callable[[str], Measured],
    *,
    repetitions: int,
    own: Collection[str],
    brief: Callable[[Measured], str],
    after: Callable[[Mapping[str, list[Measured]]], None] = lambda found: None,
) -> dict[str, list[Measured]]:
    """Return what each side said, a repetition after the other; a peer that failed is left out.

    Args:
        case: what is measured, for what is printed.
        sides: by name, in the order of the first repetition.
        ask: gives a side its turn, and raises `Failed` where that fails.
        repetitions: how often each side has its turn.
        own: the sides that end all of it where they fail; any other is named and left out.
        brief: in a few words what was measured.
        after: looks at what was said so far when a repetition is over.
    """
    found: dict[str, list[Measured]] = {side: [] for side in sides}
    for repetition in range(repetitions):
        for side in list(found)[:: -1 if repetition % 2 else 1]:
            try:
                found[side].append(ask(side))
            except Failed as failed:
                if side in own:
                    sys.exit(f"{case}, {side} {failed}:\n{failed.errors[-2000:]}")
                why = (failed.errors.strip().splitlines() or ["it said nothing"])[-1]
                print(f"{case}, {side}: left out, it {failed}: {why}", flush=True)
                del found[side]
            else:
                print(f"{case}, {side}: {brief(found[side][-1])}", flush=True)
        after(found)
    return found


def fresh(
    command: Command, environment: Mapping[str, str], asked: str = ""
) -> Callable[[str], Measured]:
    """Return what gives a side its turn in a process of its own, which reads what is `asked`."""

    def ask(side: str) -> Measured:
        done = subprocess.run(
            command(side),
            input=asked,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **environment},
        )
        if done.returncode:
            raise Failed(f"failed with {done.returncode}", done.stderr)
        return json.loads([line for line in done.stdout.splitlines() if _is_json(line)][-1])

    return ask


class Kept:
    """A process a side, where getting ready takes longer than a turn.

    Each is asked by a line, and answers by one that is a JSON object.
    """

    def __init__(
        self, sides: Iterable[str], command: Command, environment: Mapping[str, str]
    ) -> None:
        self._errors = {side: tempfile.TemporaryFile("w+") for side in sides}  # noqa: SIM115
        self._processes = {
            side: subprocess.Popen(
                command(side),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **environment},
            )
            for side, errors in self._errors.items()
        }

    def ask(self, what: str, side: str) -> Measured:
        """Give a side its turn."""
        process = self._processes[side]
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            print(what, file=process.stdin, flush=True)
            return json.loads(next(line for line in process.stdout if _is_json(line)))
        except (BrokenPipeError, StopIteration):
            self._errors[side].seek(0)
            ended = f"failed with {process.wait()}"
            raise Failed(ended, self._errors[side].read()) from None

    def close(self) -> None:
        """End them all."""
        for process in self._processes.values():
            process.kill()


def _is_json(line: str) -> bool:
    return line.startswith("{")
