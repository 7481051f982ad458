"""A server in a process of its own: awaited until it is ready, and gone without a trace."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import EngineError, Fault

TAIL = 64 * 1024
"""How much of a log's end is searched for an error, in bytes."""


class Server:
    """A command that serves something, under a supervisor: it ends when we do, however we end.

    Args:
        name: what an error calls it.
        command: the program and its arguments.
        env: its whole environment.
        log: where its output goes, after what is there.
        grace_s: how long it has to end by itself before it is killed.
        advice: what may help, by what its log says last; empty: nothing is known to.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        log: Path,
        grace_s: float = 10.0,
        advice: Callable[[str], str] = lambda said: "",
    ) -> None:
        self.name = name
        self.log = log
        self._command = command
        self._grace_s = grace_s
        self._advice = advice
        self._env = env
        self._process: asyncio.subprocess.Process | None = None
        self._log_start = 0
        self._code: int | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int | None:
        """The supervisor's process id, which is its session's and process group's too."""
        return self._process.pid if self._process else None

    async def start(self, probe: Callable[[], Awaitable[object]], within_s: float) -> None:
        """Start the process and wait until `probe` raises no fault; stop it where that fails."""
        await self.stop()
        await self._spawn()
        try:
            async with asyncio.timeout(within_s):
                while self.alive:
                    with suppress(Fault):
                        await probe()
                        return
                    await asyncio.sleep(0.1)
            raise EngineError(self.obituary())
        except BaseException as error:
            await self.stop()
            if isinstance(error, TimeoutError):
                message = f"the {self.name} wasn't ready within {within_s:g} s (log: {self.log})"
                raise EngineError(message) from None
            raise

    async def stop(self) -> None:
        """End the process with all its descendants, gently at first."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        self._code = await process.wait()
        # Nothing is left of the group, unless the supervisor itself was killed.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def obituary(self) -> str:
        """Return in one line how the process ended, as its log tells it."""
        code = self._process.returncode if self._process else self._code
        with self.log.open("rb") as log:
            log.seek(max(self._log_start, self.log.stat().st_size - TAIL))
            said = _last_words(log.read().decode(errors="replace"))
        killed = code in (-signal.SIGKILL, 128 + signal.SIGKILL)
        how = "was killed, perhaps for want of memory" if killed else f"ended (exit code {code})"
        help_ = self._advice(said)
        told = (f": {said}" if said else "") + (f"; {help_}" if help_ else "")
        return f"the {self.name} {how}{told} (log: {self.log})"

    async def _spawn(self) -> None:
        supervisor = (sys.executable, "-m", "moot.agents.serving.supervisor", str(self._grace_s))
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *supervisor,
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=asyncio.subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )


def _last_words(log: str) -> str:
    """Return the last error that a Python program's log names; its last line if it names none."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", log)
    # A program of many processes writes "(which pid=1) ERROR when [where] " before each line.
    lines = [
        re.sub(r"^(\(.*?pid=\d+\) ?)?([A-Z]+ [\d: -]+\[.*?\] )?", "", line)
        for line in plain.splitlines()
    ]
    # Pydantic says where, if anywhere, and then what is wrong, in lines of their own.
    told = r"(validation errors? for .*)\n(?:(\S+)\n)? +(.*?)( \[type=.*)?$"
    lines = re.sub(told, r"\1: \2 \3", "\n".join(lines), flags=re.MULTILINE).splitlines()
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b.*: \S", line)]
    telling = [line for line in errors if "root cause" not in line] or lines or [""]
    return " ".join(telling[-1].split())[:300]
