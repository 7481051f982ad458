"""A gate stands before an engine: so many at once, so many a second, and patience with faults."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from asyncio_throttle.throttler import Throttler

from .errors import EngineError, Fault
from .types import Completion, Engine, Limits, Request, Weights

T = TypeVar("T")

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
SERVER_TIMEOUT_S = 600.0


class Gate:
    """An engine, driven within its limits and tried again after faults that may pass.

    A request keeps its place while it waits to be tried again: an engine in trouble is thus asked
    by fewer at once.  Patience counts the time at the engine and between tries, not in the queue.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        limits: Limits,
        jitter: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], float] = time.time,
        *,
        remote: bool = True,
    ) -> None:
        self.name = name
        self.retries = 0
        """How often anything was tried again."""
        self._engine = engine
        self._limits = limits
        self._timeout_s = _timeout(limits, remote)
        self._jitter = jitter
        self._sleep = sleep
        self._clock = clock
        self._today = today
        self._places = asyncio.Semaphore(limits.concurrency)
        self._throttle = _throttle(limits.requests_per_second)
        # Only the head of the queue polls the throttle, so waiting costs nothing and keeps order.
        self._head = asyncio.Lock()

    async def generate(self, request: Request) -> Completion:
        """Return the completion of one request, spoken by the very version that it names."""
        completion, tries = await self._patiently(lambda: self._engine.generate(request))
        if completion.version != request.version:
            raise EngineError(
                f"engine '{self.name}': asked for version {request.version} of "
                f"{request.weights or 'the base model'}, and version {completion.version} spoke"
            )
        return replace(completion, tries=tries, ended_s=self._today())

    async def load(self, weights: Weights) -> None:
        """Serve `weights` under their name from now on, in place of their earlier version."""
        await self._patiently(lambda: self._engine.load(weights))

    async def held(self) -> Mapping[str, int]:
        """Return the version the engine holds of each weights it was given."""
        return (await self._patiently(self._engine.held))[0]

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> tuple[T, int]:
        """Return what the call gave, and how many tries it took."""
        async with self._places:
            tries, spent = 0, 0.0
            while True:
                await self._paced()
                start = self._clock()
                try:
                    return await self._once(call), tries + 1
                except Fault as fault:
                    tries += 1
                    left = self._limits.patience_s - spent - (self._clock() - start)
                    await self._wait(fault, tries, left)
                    self.retries += 1
                    spent += self._clock() - start

    async def _paced(self) -> None:
        """Wait until the rate allows one more."""
        if self._throttle is not None:
            async with self._head:
                await self._throttle.acquire()

    async def _once(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await call()
        except TimeoutError:
            raise Fault(f"no answer within {self._timeout_s:g} s") from None

    async def _wait(self, fault: Fault, tries: int, left: float) -> None:
        """Wait before another try: at least as long as was asked, at most as long as is left."""
        asked = fault.retry_after or 0.0
        if asked >= left:
            raise Fault(f"engine '{self.name}': {self._farewell(tries, left, asked)}: {fault}")
        backoff = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(tries - 1, 16))
        await self._sleep(min(left, asked + self._jitter.uniform(0, backoff)))

    def _farewell(self, tries: int, left: float, asked: float) -> str:
        patience = self._limits.patience_s
        wish = f", asked to wait {asked:.3g} s more" if asked else ""
        return (
            f"gave up after {tries} {'try' if tries == 1 else 'tries'} over {patience - left:.3g} s"
            f"{wish} (patience_s: {patience:g})"
        )


def _timeout(limits: Limits, remote: bool) -> float | None:
    if limits.timeout_s != "auto":
        return limits.timeout_s
    return SERVER_TIMEOUT_S if remote else None


def _throttle(requests_per_second: float | None) -> Throttler | None:
    """Return a throttle for this rate; it counts whole requests, so the period takes the rest."""
    if requests_per_second is None:
        return None
    quota = max(1, int(requests_per_second))
    return Throttler(rate_limit=quota, period=quota / requests_per_second)
