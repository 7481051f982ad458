"""Late: an engine that isn't opened before something is asked of it.

Weights that it is given meanwhile are remembered, and taken up as it opens.  It opens once, and
lives and ends in a task of its own, whoever asked first.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from .engine import Engine, Resting
from .errors import EngineError, Fault, Refusal
from .types import Completion, Request, Weights

Open = Callable[[], AbstractAsyncContextManager[Engine]]
Take = Callable[[Engine, Weights], Awaitable[object]]


@asynccontextmanager
async def late(open_: Open, take: Take) -> AsyncGenerator["Late"]:
    """Give an engine that opens when it is first asked; leaving the context closes it.

    Args:
        open_: opens the engine behind it.
        take: loads weights into that engine, and proves that they speak.
    """
    engine = Late(open_, take)
    try:
        yield engine
    finally:
        await engine.close()


class Late:
    """An engine that is asleep until `generate` is called."""

    def __init__(self, open_: Open, take: Take) -> None:
        self._open = open_
        self._take = take
        self._given: dict[str, Weights] = {}
        self._awake: asyncio.Future[Engine] | None = None
        self._life: asyncio.Task[None] | None = None
        self._over = asyncio.Event()

    async def generate(self, request: Request) -> Completion:
        """Return the completion of one request; the first opens the engine."""
        return await (await self._woken()).generate(request)

    async def load(self, weights: Weights) -> None:
        """Serve `weights` from now on; asleep, they are remembered in place of an earlier version.

        What is loaded later than the engine was opened is proven here, too: whoever loads it may
        have their proof from elsewhere.
        """
        self._given[weights.name] = weights
        if self._awake is not None:
            await self._take(await self._woken(), weights)

    async def held(self) -> Mapping[str, int]:
        """Return the version held of each weights: as the engine says, or as it was given."""
        if self._awake is None:
            return {weights.name: weights.version for weights in self._given.values()}
        return await (await self._woken()).held()

    async def rest(self) -> None:
        """Leave the GPU's memory to others until the next call, if it is open and can."""
        if self._awake is not None:
            engine = await self._woken()
            if isinstance(engine, Resting):
                await engine.rest()

    async def close(self) -> None:
        """Close the engine if it was opened, or is being."""
        if self._life is None or self._awake is None:
            return
        self._over.set()
        if not self._awake.done():
            self._life.cancel()
        [ended] = await asyncio.gather(self._life, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

    async def _woken(self) -> Engine:
        """Return the engine, open and holding what it was given."""
        if self._awake is None:
            self._awake = asyncio.get_running_loop().create_future()
            self._life = asyncio.create_task(self._live(self._awake))
        return await asyncio.shield(self._awake)  # one who stops waiting takes nobody along

    async def _live(self, awake: asyncio.Future[Engine]) -> None:
        try:
            async with self._open() as engine:
                for weights in tuple(self._given.values()):
                    await self._take(engine, weights)
                awake.set_result(engine)
                await self._over.wait()
        except Exception as error:
            if awake.done():
                raise
            passing = isinstance(error, Fault | Refusal)  # it would fail one episode after another
            awake.set_exception(EngineError(str(error)) if passing else error)
        finally:
            awake.cancel()  # nothing, unless it never opened
