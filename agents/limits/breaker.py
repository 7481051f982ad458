"""A circuit breaker: an engine that does nothing but fail is asked by one request at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..errors import Fault, Refusal

T = TypeVar("T")

AFTER = 8
"""So many faults with no answer between them, and the engine counts as down."""


class Breaker:
    """Stands between requests and an engine, and tells how long that engine has been down."""

    def __init__(self, clock: Callable[[], float], patience_s: float) -> None:
        """Begin with an engine that is well.

        Args:
            clock: gives seconds.
            patience_s: how long it may be down, until nobody tries any more.
        """
        self._clock = clock
        self._patience_s = patience_s
        self._faults = 0
        self._first = 0.0
        self._last: Fault | None = None
        self._trying = False
        self._news = asyncio.Event()

    @property
    def down_s(self) -> float:
        """For how long nothing but faults came back, in seconds; 0: it isn't down."""
        return self._clock() - self._first if self._faults >= AFTER else 0.0

    async def through(self, call: Callable[[], Awaitable[T]], patience_s: float) -> T:
        """Return what `call` gives; while the engine is down, one after the other may try.

        Raises:
            Fault: that of the call; or the last one, where others tried for `patience_s`, or the
                engine was down for longer than it may.
        """
        until = asyncio.get_running_loop().time() + max(0.0, patience_s)
        while self._faults >= AFTER:
            if self.down_s > self._patience_s:
                raise Fault(str(self._last))
            if self._trying:
                try:
                    async with asyncio.timeout_at(until):
                        await self._news.wait()
                except TimeoutError:
                    raise Fault(str(self._last)) from None
                continue
            self._trying = True
            try:
                return await self._counted(call)
            finally:
                self._trying = False
                self._tell()
        return await self._counted(call)

    async def _counted(self, call: Callable[[], Awaitable[T]]) -> T:
        start = self._clock()
        try:
            result = await call()
        except Fault as fault:
            if fault is not self._last:  # that of a request for several is each one's
                self._first = self._first if self._faults else start
                self._faults += 1
            self._last = fault
            raise
        except Refusal:  # it is well
            self._well()
            raise
        if self._faults:
            self._well()
        return result

    def _well(self) -> None:
        self._faults = 0
        self._tell()

    def _tell(self) -> None:
        """Have all who wait look again."""
        self._news.set()
        self._news = asyncio.Event()
