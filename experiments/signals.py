"""Signals: what a scheduler ends a run by is taken as Ctrl-C is."""

import signal
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""A scheduler's, `docker stop`, a terminal that closes.  What ignores them (nohup) still does."""


@contextmanager
def interruptible() -> Generator[list[int]]:
    """Raise KeyboardInterrupt at these, too; yield the list of those that came."""
    came: list[int] = []

    def end(number: int, _: FrameType | None) -> None:
        came.append(number)
        if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL):
            raise KeyboardInterrupt  # in the background of a script SIGINT is ignored
        signal.raise_signal(signal.SIGINT)  # as whoever handles it now, asyncio, wants it

    before: dict[signal.Signals, Any] = {
        one: signal.signal(one, end) for one in ENDING if signal.getsignal(one) is signal.SIG_DFL
    }
    try:
        yield came
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
