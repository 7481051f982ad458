"""A gate stands before an engine: so many at once, so many a second, and patience with faults."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import ceil
from typing import TypeVar

from ..engine import Engine, Limits, Resting, Telling, everywhere
from ..errors import EngineError, Fault, Forbidden, Overload, Refusal, TimedOut, Unusable
from ..types import Completion, Request, Weights
from .breaker import Breaker
from .pace import Pace
from .places import Places

T = TypeVar("T")

LETTERS = 4
"""How many letters a token is taken for, until it is counted."""
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
FEW = 4
"""So many answers to one request that are of no use, and it is given up."""
LOOK_S = 1.0
"""How often an engine that has work is asked how busy it is."""


class Gate:
    """An engine, driven within its limits and tried again after faults that may pass.

    A request keeps its place while it waits to be tried again: an engine in trouble is thus asked
    by fewer at once, and one that is down by one at a time.  Where there are fewer places by then,
    it queues for one.  Patience counts the time at the engine and between tries, not in the queue.

    An engine that has answered before is well: where a request gets no answer of use, or is
    forbidden, that is a `Refusal` of this very request.
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
        deadline_s: float | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Stand before `engine`, which errors call by `name`.

        Args:
            name: the engine's in YAML.
            engine: what is driven.
            limits: how hard, and how patiently.
            jitter: draws how long to wait before another try.
            sleep: waits so many seconds.
            clock: gives seconds that only grow.
            today: gives seconds since 1970.
            deadline_s: how long one call is waited for; `None`: without a bound.
            tell: is told, once, that an engine which never answered yet is waited for, and why.
        """
        self.name = name
        self.retries = 0
        """How often anything was tried again."""
        self._engine = engine
        self._limits = limits
        self._deadline_s = deadline_s
        self._jitter = jitter
        self._sleep = sleep
        self._clock = clock
        self._today = today
        self._places = Places(limits.concurrency)
        self._pace = Pace(limits)
        self._breaker = Breaker(clock, limits.patience_s)
        self._telling = engine if isinstance(engine, Telling) else None
        self._watching: asyncio.Task[None] | None = None
        self._tell = tell
        self._served = False

    @property
    def at_once(self) -> int:
        """How many requests may be under way now: as many as the engine is found to bear."""
        return ceil(self._places.number)

    async def generate(self, request: Request) -> Completion:
        """Return the completion of one request, spoken by the very version that it names."""
        length = sum(len(message.content) for message in request.prompt)
        expected = length // LETTERS + request.sampling.max_tokens
        completion, tries = await self._patiently(
            lambda: self._engine.generate(request), length, expected
        )
        self._check(request, completion)
        if tries == 1 and completion.ended_s:
            return completion
        ended = completion.ended_s or self._today()
        return replace(completion, tries=tries, ended_s=ended)

    async def everywhere(self, request: Request) -> Sequence[Completion]:
        """Return what each of the servers behind the engine makes of one request."""
        said, _ = await self._patiently(lambda: everywhere(self._engine, request))
        for completion in said:
            self._check(request, completion)
        return said

    def _check(self, request: Request, completion: Completion) -> None:
        if completion.version != request.version:
            raise EngineError(
                f"engine '{self.name}': asked for version {request.version} of "
                f"{request.weights or 'the base model'}, and version {completion.version} spoke"
            )

    async def load(self, weights: Weights) -> None:
        """Serve `weights` under their name from now on, in place of their earlier version."""
        await self._patiently(lambda: self._engine.load(weights))

    async def held(self) -> Mapping[str, int]:
        """Return the version the engine holds of each weights it was given."""
        return (await self._patiently(self._engine.held))[0]

    async def aclose(self) -> None:
        """Stop looking at the engine."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def rest(self) -> None:
        """Have the engine leave the GPU's memory to others until the next call, if it can."""
        if isinstance(self._engine, Resting):
            await self._patiently(self._engine.rest)

    async def _patiently(
        self, call: Callable[[], Awaitable[T]], rank: int = 0, expected: int = 0
    ) -> tuple[T, int]:
        """Return what the call gave, and how many tries it took.

        Args:
            call: what is tried.
            rank: of those who wait for a place, who has the greatest goes first.
            expected: how many tokens it may cost.
        """
        await self._places.take(rank)
        try:
            if self._watching is None and self._telling is not None:
                self._watching = asyncio.create_task(self._watch(self._telling))
            tries, unusable, spent = 0, 0, 0.0
            while True:
                if tries:
                    await self._places.again(rank)
                await self._pace.wait(expected)
                start, cost = self._clock(), 0
                patience = self._limits.patience_s - spent
                try:
                    result = await self._breaker.through(lambda: self._once(call), patience)
                    if isinstance(result, Completion):
                        cost = result.tokens_in + result.tokens_out
                        self._served = True
                except Forbidden as error:
                    raise Refusal(str(error)) if self._served else error from None
                except Fault as fault:
                    tries += 1
                    unusable += isinstance(fault, Unusable)
                    self._told(fault)
                    if unusable == FEW:
                        kind = Refusal if self._served else EngineError
                        raise kind(f"{fault} ({FEW} times for one request)") from None
                    if isinstance(fault, Overload):
                        self._places.refused(start, self._clock(), lost=isinstance(fault, TimedOut))
                    spent += self._clock() - start
                    left = self._limits.patience_s - max(spent, self._breaker.down_s)
                    start = self._clock()
                    await self._wait(fault, tries, left)
                    self.retries += 1
                    spent += self._clock() - start
                else:
                    self._places.served()
                    self._tell = None
                    return result, tries + 1
                finally:
                    self._pace.settle(expected, cost)
        finally:
            self._places.leave()

    def _told(self, fault: Fault) -> None:
        """Tell, once, of an engine that never answered yet."""
        if self._tell is not None:
            patience = f"tried again for up to {self._limits.patience_s:g} s"
            self._tell(f"engine {self.name}: {fault} ({patience})")
            self._tell = None

    async def _once(self, call: Callable[[], Awaitable[T]]) -> T:
        if self._deadline_s is None:
            return await call()
        try:
            async with asyncio.timeout(self._deadline_s):
                return await call()
        except TimeoutError:
            raise TimedOut(f"no answer within {self._deadline_s:g} s") from None

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

    async def _watch(self, engine: Telling) -> None:
        """While anything is asked, look at how busy the engine is."""
        while True:
            await asyncio.sleep(LOOK_S)
            if not self._places.taken:
                break
            with suppress(EngineError, TimeoutError):
                async with asyncio.timeout(LONGEST_WAIT_S):
                    if (queue := await engine.queue()) is not None:
                        self._places.seen(queue, self._clock())
        self._places.idle()
        self._watching = None
