"""Pace: so many requests a second, so many tokens a minute, no more."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from asyncio_throttle.throttler import Throttler

from ..engine import Limits

LOOK_S = 1.0
"""How often who waits looks whether there are tokens to spend."""


class Pace:
    """Holds back who comes too early.

    What a request costs in tokens is known after: so many as are expected are paid before, and the
    rest, or what was too much, is settled when it is over.
    """

    def __init__(
        self,
        limits: Limits,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with a minute's tokens to spend."""
        self._throttle = _throttle(limits.requests_per_second)
        self._tokens_s = (limits.tokens_per_minute or 0.0) / 60
        self._left = self._tokens_s * 60
        self._sleep = sleep
        self._clock = clock
        self._then = clock()
        # Only the head of the queue polls, so waiting costs nothing and keeps order.
        self._head = asyncio.Lock()
        self._free = self._throttle is None and not self._tokens_s

    async def wait(self, tokens: int = 0) -> None:
        """Return once one more may be asked, that is expected to cost so many tokens."""
        if self._free:
            return
        async with self._head:
            if self._throttle is not None:
                await self._throttle.acquire()
            while self._tokens_s and self._balance() < 0:
                # Others may get something back meanwhile.
                await self._sleep(min(LOOK_S, -self._left / self._tokens_s))
            self._left -= tokens

    def settle(self, expected: int, tokens: int) -> None:
        """Take note that what was expected to cost so many tokens cost `tokens`, read and said."""
        if self._tokens_s:
            self._left = self._balance() + expected - tokens

    def _balance(self) -> float:
        now = self._clock()
        earned = (now - self._then) * self._tokens_s
        self._left = min(self._left + earned, self._tokens_s * 60)
        self._then = now
        return self._left


def _throttle(requests_per_second: float | None) -> Throttler | None:
    """Return a throttle for this rate; it counts whole requests, so the period takes the rest."""
    if requests_per_second is None:
        return None
    quota = max(1, int(requests_per_second))
    return Throttler(rate_limit=quota, period=quota / requests_per_second)
