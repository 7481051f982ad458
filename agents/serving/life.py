"""The life of a vLLM server: it starts, works, may die or hang, and is started again."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from ..engine import Queue
from ..errors import EngineError, Fault, Gone, MootError, TimedOut
from ..wire import Wire
from .server import Server

T = TypeVar("T")

UNANSWERED = 3
"""How often a server is started again that died before it answered anything."""
LOOK_S = 10.0
"""How long the metrics may take, to tell whether a server did anything."""
NEEDED = {
    b"num_requests_running",
    b"num_requests_waiting",
    b"num_preemptions_total",
    b"prompt_tokens_total",
    b"generation_tokens_total",
}
ANSWERED, LATENCIES = b"e2e_request_latency_seconds_count", b"e2e_request_latency_seconds_sum"
NUMBERS = re.compile(
    rb"^vllm:(%s)\{[^}]*\} (\S+)$" % b"|".join((*NEEDED, ANSWERED, LATENCIES)), re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Endurance:
    """How long and how often a server is waited for."""

    start_s: float
    """How long it may take to be ready, or a running one to say what it serves."""
    timeout_s: float | None = None
    """How long one call may take; a server of ours that did nothing for so long has hung."""
    restarts: int = 0
    """How often one of ours that died or hung is started again, all in all."""
    sleep: bool = False
    """Whether it leaves its GPU's memory to others when it is told to rest."""


class Life:
    """Whether a server, ours or another's, serves; and that it does again if it is ours."""

    def __init__(
        self,
        wire: Wire,
        server: Server | None,
        endurance: Endurance,
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        """Begin nothing yet.

        Args:
            wire: the line to the server.
            server: its process, where it is ours.
            endurance: how long and how often it is waited for.
            settle: is called when the server answers, and brings it to where it is to be.
        """
        self._wire = wire
        self._server = server
        self._endurance = endurance
        self._settle = settle
        self._starts = 0
        self._unanswered = 0
        self._began = 0.0
        self._moved = 0.0
        self._worked = -1.0
        self._hung = False
        self._asleep = False
        self._waking = asyncio.Lock()
        self._starting: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it serves now, as far as is known."""
        task = self._starting
        return task is not None and task.done() and not task.exception() and not self._gone

    @property
    def _gone(self) -> bool:
        return self._server is not None and (self._hung or not self._server.alive)

    async def serving(self) -> None:
        """Wait until the server serves; where ours died or hung, start it again with its weights.

        One start serves all who wait for it, and outlives their deadlines.
        """
        task = self._starting
        if task is None or (task.done() and (self._gone or task.exception() is not None)):
            task = self._starting = asyncio.create_task(self._start())
        await asyncio.shield(task)
        if self._asleep:
            async with self._waking:
                if self._asleep:
                    await self.timed(self._wire.order("/wake_up", {}))
                    self._asleep = False

    async def timed(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what a call gives, within the time that it may take.

        A server of ours has hung that did nothing for so long, neither an answer nor a token; one
        that does something was asked too much at once.
        """
        limit, start = self._endurance.timeout_s, time.monotonic()
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                result = await call
        except TimeoutError:
            if limit is None or not clock.expired():
                raise
            with suppress(EngineError, TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._look()
            hung = start >= self._began and time.monotonic() - self._moved >= limit
            self._hung |= hung
            kind = Fault if hung else TimedOut
            raise kind(f"{self._wire.root}: no answer within {limit:g} s") from None
        self._moved, self._unanswered = time.monotonic(), 0
        return result

    async def queue(self) -> Queue | None:
        """Return what the server's metrics say of its queue."""
        return await self._look() if self.ready else None

    async def _look(self) -> Queue | None:
        """Look at the metrics, and note when the server last did anything."""
        seen: dict[bytes, float] = {}
        for name, number in NUMBERS.findall(await self._wire.get("/metrics")):
            seen[name] = seen.get(name, 0.0) + float(number)
        if not seen.keys() >= NEEDED:
            return None
        worked = seen[b"prompt_tokens_total"] + seen[b"generation_tokens_total"]
        if worked != self._worked:
            self._worked, self._moved = worked, time.monotonic()
        return Queue(
            running=int(seen[b"num_requests_running"]),
            waiting=int(seen[b"num_requests_waiting"]),
            preempted=int(seen[b"num_preemptions_total"]),
            answered=int(seen.get(ANSWERED, 0)),
            tokens=int(worked),
            latencies_s=seen.get(LATENCIES, 0.0),
        )

    async def rest(self) -> None:
        """Leave the GPU's memory to others, until the next call, where it was set up for it."""
        if not self._endurance.sleep:
            return
        await self.serving()
        await self.timed(self._wire.order("/sleep?level=1", {}))
        self._asleep = True

    async def end(self) -> None:
        """Start nothing any more, and stop our server."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            with suppress(asyncio.CancelledError, MootError):
                await self._starting
        if self._server is not None:
            await self._server.stop()

    async def _start(self) -> None:
        if self._server is not None:
            await self._start_ours(self._server)
        try:
            async with asyncio.timeout(self._endurance.start_s):
                await self._settle()
                with suppress(EngineError):  # what has no metrics tells nothing later either
                    await self._look()
        except TimeoutError:
            limit = f"{self._endurance.start_s:g} s (start_s)"
            raise EngineError(f"{self._wire.root}: said nothing within {limit}") from None
        self._began = self._moved = time.monotonic()
        self._hung = False

    async def _start_ours(self, server: Server) -> None:
        limits = self._endurance
        if self._unanswered > UNANSWERED or self._starts > limits.restarts:
            why = (
                f"{self._unanswered} times in a row without an answer"
                if self._unanswered > UNANSWERED
                else f"{self._starts} times (restarts: {limits.restarts})"
            )
            end = f"{self._wire.root} did nothing for {limits.timeout_s} s" if server.alive else ""
            await server.stop()
            raise Gone(f"started {why}: {end or server.obituary()}")
        self._starts += 1
        self._unanswered += 1
        self._asleep = False
        try:
            await server.start(lambda: self._wire.get("/health"), limits.start_s)
        except EngineError as error:
            if self._starts == 1:
                raise
            raise Fault(str(error)) from None  # it did start once, so it may again
