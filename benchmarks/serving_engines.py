"""Engines that lack something, beside which serving.py measures what it gives."""

from collections.abc import Mapping
from dataclasses import replace

from moot.agents.engine import Engine
from moot.agents.types import Completion, Request, Weights


class Silent(Engine):
    """An engine that doesn't tell how busy it is."""

    def __init__(self, engine: Engine) -> None:
        """Pass all on to `engine`."""
        self._engine = engine

    async def generate(self, request: Request) -> Completion:
        """Return the completion of one request."""
        return await self._engine.generate(request)

    async def load(self, weights: Weights) -> None:
        """Serve `weights` from now on."""
        await self._engine.load(weights)

    async def held(self) -> Mapping[str, int]:
        """Return the version of each weights."""
        return await self._engine.held()


class Apart(Silent):
    """One whose requests have seeds that don't follow one another, too."""

    async def generate(self, request: Request) -> Completion:
        """Return the completion of one request, with another seed."""
        return await super().generate(replace(request, seed=2 * request.seed % 2**63))
