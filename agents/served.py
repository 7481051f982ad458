"""The engine that a vLLM server is: a base model, and adapters that come and go by version."""

import asyncio
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
from pydantic import BaseModel, Field, ValidationError

from .chat import ask
from .errors import EngineError, Fault, MootError
from .poll import Polls
from .self_reward import Reading, read, wanted
from .server import Server
from .types import Completion, Request, Weights
from .wire import Wire

RESTARTS = 3
GOODBYE_S = 10.0
"""How long another's server may take to drop what we gave it."""


class _Card(BaseModel):
    id: str
    parent: str | None = None


class _Models(BaseModel):
    data: tuple[_Card, ...] = Field(min_length=1)


class Served:
    """A vLLM server, ours or another's, that serves a base model and versions of adapters.

    Each version of weights is an adapter of its own: NAME@VERSION#SESSION.  The session keeps
    apart what several runs gave to one server, so what an earlier run left can't speak for ours.
    """

    def __init__(self, wire: Wire, server: Server | None, start_s: float) -> None:
        self._wire = wire
        self._server = server
        self._start_s = start_s
        self._session = secrets.token_hex(4)
        self._base = ""
        self._polls = Polls(wire)
        self._given: dict[str, Weights] = {}
        self._verdicts: dict[str, Reading | None] = {}
        self._starts = 0
        self._starting: asyncio.Task[None] | None = None

    async def serving(self) -> None:
        """Wait until the server serves; where ours died, start it again with its adapters.

        One start serves all who wait for it, and outlives their deadlines.
        """
        task = self._starting
        gone = self._server is not None and not self._server.alive
        if task is None or (task.done() and (gone or task.exception() is not None)):
            task = self._starting = asyncio.create_task(self._start())
        await asyncio.shield(task)

    async def generate(self, request: Request) -> Completion:
        """Return the completion, stamped with the version that the server says has spoken."""
        await self.serving()
        sampling = request.sampling
        model = self._base
        if request.weights is not None and request.version:
            model = self._adapter(request.weights, request.version)
        more: dict[str, Any] = {
            "logprobs": True,
            "return_token_ids": True,
            # A server may have other defaults, from the model's generation_config.json.
            "top_k": sampling.top_k or -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
        }
        if request.choices:
            how = wanted(request, self._verdicts)
            completion, speaker = await self._polls.ask(model, self._base, request, more, how)
        else:
            if request.shape:
                more["structured_outputs"] = {"json": orjson.loads(request.shape)}
            completion, reply = await ask(self._wire, model, request, more)
            speaker = reply.model
        if speaker == self._base:
            return completion
        name, version = self._read(speaker)
        if name is None or name != request.weights:
            raise EngineError(f"{self._wire.root}: asked '{model}', and '{speaker}' answered")
        return replace(completion, version=version)

    async def load(self, weights: Weights) -> None:
        """Serve `weights` from now on; the server's own list says that it does."""
        await self.serving()
        how = read(weights.path)
        await self._give(weights)
        self._given[weights.name] = weights
        self._verdicts[weights.name] = how

    async def held(self) -> Mapping[str, int]:
        """Return the versions of our weights, by name, that the server lists."""
        await self.serving()
        found = sorted((version, name) for name, version in map(self._read, await self._listed()))
        return {name: version for version, name in found if name is not None}

    async def close(self) -> None:
        """Stop our server; take our adapters from another's."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            with suppress(asyncio.CancelledError, MootError):
                await self._starting
        if self._server is not None:
            return await self._server.stop()
        with suppress(MootError, TimeoutError):
            async with asyncio.timeout(GOODBYE_S):
                for name in await self._listed():
                    if self._read(name)[0] is not None:
                        await self._unload(name)

    async def _start(self) -> None:
        if self._server is not None:
            if self._starts > RESTARTS:
                raise EngineError(f"started {self._starts} times: {self._server.obituary()}")
            self._starts += 1
            await self._server.start(lambda: self._wire.get("/health"), self._start_s)
        try:
            async with asyncio.timeout(self._start_s):
                self._base = (await self._cards())[0].id
        except TimeoutError:
            message = f"{self._wire.root}: said nothing within {self._start_s:g} s (start_s)"
            raise EngineError(message) from None
        for weights in self._given.values():
            await self._give(weights)

    async def _give(self, weights: Weights) -> None:
        name = self._adapter(weights.name, weights.version)
        if name not in await self._listed():
            path = str(weights.path.resolve())
            # vLLM answers 500 for an adapter that it can't use: asking again won't help.
            body = {"lora_name": name, "lora_path": path}
            await self._wire.post("/v1/load_lora_adapter", body, hopeless=(500,))
        listed = await self._listed()
        if name not in listed:
            raise EngineError(f"{self._wire.root}: took adapter '{name}' but doesn't list it")
        for other in listed:
            if other != name and self._read(other)[0] == weights.name:
                await self._unload(other)

    async def _unload(self, name: str) -> None:
        await self._wire.post("/v1/unload_lora_adapter", {"lora_name": name})

    async def _cards(self) -> tuple[_Card, ...]:
        try:
            cards = _Models.model_validate_json(await self._wire.get("/v1/models")).data
        except ValidationError:
            raise Fault(f"{self._wire.root}/v1/models: unreadable answer") from None
        return tuple(sorted(cards, key=lambda card: card.parent is not None))

    async def _listed(self) -> list[str]:
        return [card.id for card in await self._cards()]

    def _adapter(self, name: str, version: int) -> str:
        return f"{name}@{version}#{self._session}"

    def _read(self, adapter: str) -> tuple[str | None, int]:
        """Return the weights and version behind one of our adapters; `None`: it isn't ours."""
        found = re.fullmatch(rf"(.+)@(\d+)#{self._session}", adapter)
        return (found[1], int(found[2])) if found else (None, 0)
