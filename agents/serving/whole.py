"""Whole weights on a vLLM server: one set of all the weights is in its memory at a time.

The server reads another set from its files, in place, which takes as long as reading them.  So who
speaks with other weights waits until all have spoken who speak with those that are there, and then
goes on together with all who want the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import orjson

from ..errors import EngineError, Fault, Missing
from ..types import Weights
from ..wire import Wire
from .lent import Labels

OURS = "read_weights"
"""What `worker` adds."""
BASE = "default"
"""What vLLM calls the version of the weights that it started with."""


class Whole:
    """What one server has in its memory, and who waits for something else."""

    def __init__(
        self,
        wire: Wire,
        labels: Labels,
        within_s: float,
        timed: Callable[[Coroutine[Any, Any, None]], Awaitable[None]],
        *,
        ours: bool,
    ) -> None:
        """Begin with the base model.

        Args:
            wire: the line to the server.
            labels: what weights are called there.
            within_s: how long the server may take to read others.
            timed: sees to it that a server which hangs over that is found out.
            ours: whether we started it, with what `worker` adds; to another's it may be added.
        """
        self._wire = wire
        self._labels = labels
        self._within_s = within_s
        self._timed = timed
        self._ours = ours
        self._method = OURS
        self.given: dict[str, Weights] = {}
        """What it was given, by name: the last version of each, the newest last."""
        self._base: Path | None = None
        self._now: Weights | None = None
        self._torn = False  # whatever is there, it isn't what we think
        self._speaking = 0
        self._due: dict[Weights | None, list[asyncio.Future[None]]] = {}
        self._changing: asyncio.Task[None] | None = None

    def began(self, base: Path | None) -> None:
        """Take note that the server started anew, with the model in the folder `base`."""
        self._base, self._now, self._torn = base, None, False

    async def look(self) -> None:
        """Look at what is in the memory of a server that isn't ours; others may have changed it."""
        try:
            held = await self.held()
        except Missing:  # it lets nobody change it
            return
        label = BASE if self._now is None else self._label(self._now)
        self._torn = self._torn or held != label

    async def confirm(self) -> None:
        """Raise a fault if the server no longer holds what was just spoken with."""
        await self.look()
        if self._torn:
            raise Fault(f"{self._wire.root}: other weights were there before the answer was")

    async def give(self, weights: Weights) -> None:
        """Have the server hold `weights`, and from now on no other version of them."""
        await self._enter(weights)
        self.leave()
        self.given.pop(weights.name, None)
        self.given[weights.name] = weights

    async def take_back(self) -> None:
        """Have the server hold the base model again, if it held anything else."""
        if self._now is not None or self._torn:
            await self._enter(None)
            self.leave()

    async def held(self) -> str:
        """Return the label of what the server says is in its memory."""
        answer = await self._wire.get("/weight_info")
        try:
            return str(orjson.loads(answer)["weight_version"])
        except (ValueError, KeyError, TypeError):
            raise Fault(f"{self._wire.root}/weight_info: unreadable answer") from None

    async def enter(self, name: str | None, version: int) -> None:
        """Return once a version of `name`, or for `None` the base model, is in memory.

        It stays there until `leave` is called.
        """
        wanted = None if name is None else self.given[name]
        if wanted is not None and wanted.version != version:
            raise EngineError(
                f"{self._wire.root}: was asked for version {version} of '{name}', and has "
                f"version {wanted.version}"
            )
        await self._enter(wanted)

    def leave(self) -> None:
        """Let other weights take the place of those that were entered for."""
        self._speaking -= 1
        self._go_on()

    async def _enter(self, wanted: Weights | None) -> None:
        if wanted == self._now and not (self._torn or self._due or self._changing):
            self._speaking += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._due.setdefault(wanted, []).append(place)
        self._go_on()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.leave()
            raise

    def _go_on(self) -> None:
        if self._due and not self._speaking and self._changing is None:
            self._changing = asyncio.create_task(self._change())

    async def _change(self) -> None:
        """Bring in what is waited for longest, and let all speak who want it."""
        wanted = next(iter(self._due))
        failed: Exception | None = None
        try:
            if (wanted != self._now or self._torn) and not all(p.done() for p in self._due[wanted]):
                await self._timed(self._read(wanted))
        except Exception as error:  # whatever it is, it concerns those who wait
            failed = error
        self._changing = None
        for place in self._due.pop(wanted):
            if place.done():  # nobody waits any more
                continue
            if failed is not None:
                place.set_exception(failed)
            else:
                self._speaking += 1
                place.set_result(None)
        self._go_on()

    async def _read(self, wanted: Weights | None) -> None:
        """Have the server read other weights, and hear from it that it holds them."""
        path = self._base if wanted is None else wanted.path
        if path is None:
            raise EngineError(
                f"{self._wire.root}: can't go back to the base model, for it isn't known where "
                "that lies; name it as the engine's `model`"
            )
        label = BASE if wanted is None else self._label(wanted)
        self._torn = True  # whatever comes of it, what was there is gone
        try:
            async with asyncio.timeout(self._within_s):
                await self._call(str(path.resolve()))
                await self._forget()
                await self._wire.order("/update_weight_version", {"new_version": label})
                held = await self.held()
        except TimeoutError:
            limit = f"{self._within_s:g} s"
            raise Fault(f"{self._wire.root}: hadn't read other weights within {limit}") from None
        if held != label:
            raise EngineError(f"{self._wire.root}: was given '{label}' and holds '{held}'")
        self._now, self._torn = wanted, False

    async def _forget(self) -> None:
        """Have the server forget what prompts came to under the weights before.

        While it holds anything of anybody's request it says 200, and that it hasn't: those that
        run, which aren't ours, are therefore begun again.
        """
        answer = await self._wire.order("/reset_prefix_cache?reset_running_requests=true", {})
        if b"false" in answer:  # versions before told nothing
            raise Fault(
                f"{self._wire.root}: still holds what it read with other weights, "
                "for it is asked by others too"
            )

    async def _call(self, folder: str) -> None:
        """Have the server's workers read the weights in a folder."""
        body = {"method": self._method, "kwargs": {"weights_path": folder}}
        try:
            await self._wire.order("/collective_rpc", body)
        except EngineError as error:
            if self._ours or self._method != OURS or OURS not in str(error):
                raise
            self._method = "reload_weights"  # its workers have just what vLLM has
            await self._call(folder)

    def _label(self, weights: Weights) -> str:
        return self._labels.of(weights.name, weights.version)
