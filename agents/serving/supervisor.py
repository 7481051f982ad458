"""Runs a command and leaves no process of it behind: `python -m moot.agents.serving.supervisor`.

It ends the command and all its descendants when its own standard input closes, which happens when
whoever started it asks for it, ends, or is killed: the kernel closes the pipe in any case.  It
exits as the command did, once nothing of it is left.  Linux only; the standard library alone.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
ORDERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    """Run the command until it ends, our input closes or we are told to stop; then sweep up."""
    grace_s, *command = sys.argv[1:]
    # Descendants whose parent ends become our children, so none escapes us.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for order in ORDERS:
        signal.signal(order, _interrupt)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    with suppress(InterruptedError):
        select.select([0, os.pidfd_open(child.pid)], [], [])
    for order in ORDERS:
        signal.signal(order, signal.SIG_IGN)
    codes: dict[int, int] = {}
    _end(signal.SIGTERM, float(grace_s), codes)
    _end(signal.SIGKILL, float(grace_s), codes)
    code = codes.get(child.pid, -signal.SIGKILL)
    sys.exit(code if code >= 0 else 128 - code)


def _interrupt(number: int, frame: object) -> None:
    raise InterruptedError(number)


def _end(order: int, grace_s: float, codes: dict[int, int]) -> None:
    """Give `order` to our children, and to theirs as they become ours, until none is left."""
    until = time.monotonic() + grace_s
    told: set[int] = set()
    while time.monotonic() < until:
        for pid in _children() - told:
            os.kill(pid, order)
            told.add(pid)
        try:
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                codes[ended[0]] = os.waitstatus_to_exitcode(ended[1])
        except ChildProcessError:
            return
        time.sleep(0.02)


def _children() -> set[int]:
    """Return our children; those that have ended but were not waited for are still ours."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


if __name__ == "__main__":
    main()
