"""Adapters that were lent to a vLLM server: each version under a name of its own.

The name is NAME@VERSION#SESSION.  The session keeps apart what several runs gave to one server, so
what an earlier run left can't speak for ours.
"""

import asyncio
import re
import secrets
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from ..errors import EngineError, Fault
from ..types import Weights
from ..weights.names import as_filed
from ..wire import Wire


class _Card(BaseModel):
    id: str
    parent: str | None = None
    root: str | None = None
    max_model_len: int | None = None

    def __str__(self) -> str:
        return f"'{self.root or self.id}' (as '{self.id}', max_model_len: {self.max_model_len})"


class _Models(BaseModel):
    data: tuple[_Card, ...] = Field(min_length=1)


class Labels:
    """Names that tell weights and their version, of one session."""

    def __init__(self) -> None:
        """Begin a session."""
        self._session = secrets.token_hex(4)

    def of(self, name: str, version: int) -> str:
        """Return the label of a version of the weights `name`."""
        return f"{name}@{version}#{self._session}"

    def read(self, label: str) -> tuple[str | None, int]:
        """Return the weights and version behind a label; `None`: it isn't this session's."""
        found = re.fullmatch(rf"(.+)@(\d+)#{self._session}", label)
        return (found[1], int(found[2])) if found else (None, 0)


class Lent:
    """The adapters that one server has of ours."""

    def __init__(self, wire: Wire, labels: Labels, base: Path | None = None) -> None:
        """Begin with none.

        Args:
            wire: the line to the server.
            labels: what weights are called there.
            base: the folder of its base model, where it is known.
        """
        self._wire = wire
        self._folder = base
        self._labels = labels
        self._given: dict[str, Weights] = {}
        self._giving = asyncio.Lock()
        self._base: _Card | None = None

    async def models(self) -> list[str]:
        """Return what the server lists, its base model first.

        Raises:
            EngineError: that is another model than it was: what was given to it was made for the
                other one.
        """
        try:
            cards = _Models.model_validate_json(await self._wire.get("/v1/models")).data
        except ValidationError:
            raise Fault(f"{self._wire.root}/v1/models: unreadable answer") from None
        found = sorted(cards, key=lambda card: card.parent is not None)
        self._base = self._base or found[0]
        if found[0] != self._base:
            raise EngineError(
                f"{self._wire.root}: served the model {self._base}, and now serves {found[0]}: "
                "serve the former again, and the same command goes on"
            )
        return [card.id for card in found]

    async def give(self, weights: Weights) -> None:
        """Have the server list `weights`, and no other version of them."""
        await self._give(weights)
        self._given[weights.name] = weights

    async def again(self) -> None:
        """Give a server that started anew all that it had."""
        for weights in tuple(self._given.values()):
            await self._give(weights)

    async def had(self, name: str | None, version: int) -> bool:
        """Return whether the server was given this adapter; if it was, it has it again now.

        Another's server that was started anew has lost it; ours is given all that it had as it
        starts.
        """
        given = self._given.get(name or "")
        if given is None or given.version != version:
            return False
        await self._give(given)
        return True

    async def take_back(self) -> None:
        """Have the server drop all that is ours."""
        for label in await self.models():
            if self._labels.read(label)[0] is not None:
                await self._unload(label)

    async def _give(self, weights: Weights) -> None:
        label = self._labels.of(weights.name, weights.version)
        async with self._giving:
            if label not in await self.models():
                path = weights.path.resolve()
                if self._folder is not None:
                    path = await asyncio.to_thread(as_filed, path, self._folder)
                body = {"lora_name": label, "lora_path": str(path)}
                await self._wire.order("/v1/load_lora_adapter", body)
            listed = await self.models()
            if label not in listed:
                raise EngineError(f"{self._wire.root}: took adapter '{label}' but doesn't list it")
            for other in listed:
                if other != label and self._labels.read(other)[0] == weights.name:
                    await self._unload(other)

    async def _unload(self, label: str) -> None:
        await self._wire.post("/v1/unload_lora_adapter", {"lora_name": label})
