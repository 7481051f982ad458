"""Whole weights on a vLLM server: one set of all the weights is in its memory at a time.

The server reads another set from its files, in place, which takes as long as reading them.  So who
speaks with other weights waits until all have spoken who speak with those that are there, and then
goes on together with all who want the same.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from .errors import EngineError, Fault, MootError
from .lent import Labels
from .types import Weights
from .wire import Wire

BASE = "default"
"""What vLLM calls the version of the weights that it started with."""


class Whole:
    """What one server has in its memory, and who waits for something else."""

    def __init__(self, wire: Wire, labels: Labels) -> None:
        """Begin with the base model."""
        self._wire = wire
        self._labels = labels
        self._given: dict[str, Weights] = {}
        self._base: Path | None = None
        self._now: Weights | None = None
        self._torn = False
        self._speaking = 0
        self._due: dict[Weights | None, list[asyncio.Future[None]]] = {}
        self._changing: asyncio.Task[None] | None = None

    @property
    def given(self) -> Mapping[str, Weights]:
        """What it was given, by name: the last version of each."""
        return self._given

    @property
    def involved(self) -> bool:
        """Whether anything but the base model was ever to be there."""
        return self._torn or bool(self._given)

    def began(self, base: Path | None) -> None:
        """Take note that the server started anew, with the model in the folder `base`."""
        self._base, self._now, self._torn = base, None, False

    async def give(self, weights: Weights) -> None:
        """Have the server hold `weights`, and from now on no other version of them."""
        async with self._held(weights):
            self._given[weights.name] = weights

    async def take_back(self) -> None:
        """Have the server hold the base model again, if it held anything else."""
        if self._now is not None:
            async with self._held(None):
                self._given.clear()

    async def held(self) -> str:
        """Return the label of what the server says is in its memory."""
        answer = await self._wire.get("/weight_info")
        try:
            return str(orjson.loads(answer)["weight_version"])
        except (ValueError, KeyError, TypeError):
            raise Fault(f"{self._wire.root}/weight_info: unreadable answer") from None

    @asynccontextmanager
    async def speaking(self, name: str | None, version: int) -> AsyncGenerator[None]:
        """Hold a version of `name`, or for `None` the base model, in memory while this lasts."""
        wanted = None if name is None else self._given[name]
        if wanted is not None and wanted.version != version:
            raise EngineError(
                f"{self._wire.root}: was asked for version {version} of '{name}', and has "
                f"version {wanted.version}"
            )
        async with self._held(wanted):
            yield

    @asynccontextmanager
    async def _held(self, wanted: Weights | None) -> AsyncGenerator[None]:
        if wanted != self._now or self._torn or self._due or self._changing is not None:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._due.setdefault(wanted, []).append(place)
            self._go_on()
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled() and place.exception() is None:
                    self._left()
                raise
        else:
            self._speaking += 1
        try:
            yield
        finally:
            self._left()

    def _left(self) -> None:
        self._speaking -= 1
        self._go_on()

    def _go_on(self) -> None:
        if self._due and not self._speaking and self._changing is None:
            self._changing = asyncio.create_task(self._change())

    async def _change(self) -> None:
        """Bring in what most wait for, and let them all speak."""
        wanted = max(self._due, key=lambda one: len(self._due[one]))
        failed: MootError | None = None
        try:
            if wanted != self._now or self._torn:
                await self._read(wanted)
        except MootError as error:
            failed = error
        finally:
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
        label = BASE if wanted is None else self._labels.of(wanted.name, wanted.version)
        arguments = {"weights_path": str(path.resolve())}
        body = {"method": "reload_weights", "kwargs": arguments}
        self._torn = True  # whatever comes of it, what was there is gone
        await self._wire.post("/collective_rpc", body, hopeless=(500,))
        await self._wire.post("/reset_prefix_cache", {})
        await self._wire.post("/update_weight_version", {"new_version": label})
        if (held := await self.held()) != label:
            raise EngineError(f"{self._wire.root}: was given '{label}' and holds '{held}'")
        self._now, self._torn = wanted, False
