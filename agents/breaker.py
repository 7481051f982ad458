"""A circuit breaker: an engine that does nothing but fail is asked by one request at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from .errors import Fault

T = TypeVar("T")

AFTER = 8
"""So many faults with no answer between them, and the engine counts as down."""


class Breaker:
    """Stands between requests and an engine, and tells how long that engine has been down."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with an engine that is well; `clock` gives seconds."""
        self._clock = clock
        self._faults = 0
        self._first = 0.0
        self._turn = asyncio.Lock()

    @property
    def down_s(self) -> float:
        """For how long nothing but faults came back, in seconds; 0: it isn't down."""
        return self._clock() - self._first if self._faults >= AFTER else 0.0

    async def through(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` gives; while the engine is down, one after the other may try."""
        while self._faults >= AFTER:
            async with self._turn:
                if self._faults >= AFTER:
                    return await self._counted(call)
        return await self._counted(call)

    async def _counted(self, call: Callable[[], Awaitable[T]]) -> T:
        start = self._clock()
        try:
            result = await call()
        except Fault:
            self._first = self._first if self._faults else start
            self._faults += 1
            raise
        self._faults = 0
        return result
