"""The engine that a vLLM server is: a base model, and weights that come and go by version."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from ..engine import Queue
from ..errors import EngineError, Fault, Missing, MootError
from ..self_reward import Reading, read, wanted
from ..types import Completion, Request, Weights
from ..wire import Wire
from .lent import Labels, Lent
from .life import Endurance, Life
from .poll import Polls
from .server import Server
from .together import Together
from .whole import Whole

GOODBYE_S = 10.0
"""How long another's server may take to drop what we gave it."""
AGAIN_S = 0.5
"""How long to wait before another's server that isn't there yet is looked for again."""


class Served:
    """A vLLM server, ours or another's, that serves a base model and versions of weights.

    A version of an adapter is a model of its own there, see `Lent`; weights of which all were
    learnt take the base model's place while they speak, see `Whole`.
    """

    def __init__(
        self, wire: Wire, server: Server | None, endurance: Endurance, base: Path | None = None
    ) -> None:
        """Speak through `wire` to `server`; nothing is begun yet.

        Args:
            wire: the line to it.
            server: its process, where it is ours.
            endurance: how long and how often it is waited for.
            base: the folder of its base model, where it is known.
        """
        self._wire = wire
        self._ours = server is not None
        self._within_s = endurance.start_s
        self._folder = base
        self._life = Life(wire, server, endurance, self._settle)
        self._labels = Labels()
        self._lent = Lent(wire, self._labels, base)
        timed = self._life.timed
        self._whole = Whole(wire, self._labels, endurance.start_s, timed, ours=self._ours)
        self._polls = Polls(wire)
        self._together = Together(wire)
        self._verdicts: dict[str, Reading | None] = {}
        self._base = ""
        self._known = 0  # so many connections led to the model that we know
        self._knowing = asyncio.Lock()

    @property
    def root(self) -> str:
        """Where it serves."""
        return self._wire.root

    @property
    def ready(self) -> bool:
        """Whether it serves now, as far as is known."""
        return self._life.ready

    async def serving(self) -> None:
        """Wait until the server serves; where ours died or hung, start it again."""
        await self._life.serving()

    async def generate(self, request: Request) -> Completion:
        """Return the completion, stamped with the version that the server says has spoken."""
        await self._life.serving()
        said = await self._by_whom(request)
        if not self._ours and self._known < (lines := self._wire.lines):
            await self._life.timed(self._recognise(lines))
        return said

    async def load(self, weights: Weights) -> None:
        """Serve `weights` from now on; the server's own list says that it does."""
        await self._life.serving()
        how = read(weights.path)
        await self._life.timed((self._whole if weights.whole else self._lent).give(weights))
        self._verdicts[weights.name] = how

    async def held(self) -> Mapping[str, int]:
        """Return the versions of our weights, by name, that the server lists.

        Of whole weights it holds one set: the one that it was given last, if it still can.
        """
        await self._life.serving()
        return await self._life.timed(self._held())

    async def queue(self) -> Queue | None:
        """Return what the server's metrics say of its queue."""
        return await self._life.queue()

    async def rest(self) -> None:
        """Leave the GPU's memory to others, until the next call, where it was set up for it."""
        await self._life.rest()

    async def close(self) -> None:
        """Stop our server; take from another's what is ours."""
        await self._life.end()
        if self._ours:
            return
        for lodger, within_s in ((self._lent, GOODBYE_S), (self._whole, self._within_s)):
            with suppress(MootError, TimeoutError):
                async with asyncio.timeout(within_s):
                    await lodger.take_back()

    async def _held(self) -> Mapping[str, int]:
        labels = await self._lent.models()
        if given := tuple(self._whole.given.values()):
            await self._whole.enter(given[-1].name, given[-1].version)
            try:
                labels.append(await self._whole.held())
            finally:
                self._whole.leave()
        found = sorted((version, name) for name, version in map(self._labels.read, labels))
        return {name: version for version, name in found if name is not None}

    async def _settle(self) -> None:
        """Find the base model, and have the server hold all adapters that it was given."""
        self._base = await self._first()
        self._whole.began(self._folder)
        if not self._ours:
            await self._whole.look()
        await self._lent.again()

    async def _recognise(self, lines: int) -> None:
        """See that another's server has the model that it had; anew started it may have another.

        Those who wait for it when it begins have waited for the same.

        Args:
            lines: how many connections there were when the answer came that is in question.
        """
        async with self._knowing:
            if self._known < lines:
                now = self._wire.lines
                await self._lent.models()
                self._known = now

    async def _first(self) -> str:
        """Return the name of the base model, as soon as the server tells it."""
        while True:
            try:
                return (await self._lent.models())[0]
            except Fault:
                if self._ours:
                    raise
                await asyncio.sleep(AGAIN_S)  # another's may be starting

    async def _by_whom(self, request: Request) -> Completion:
        """Return the completion under the version of who spoke."""
        if not request.version or request.weights is None:
            return await self._in_memory(None, request)
        if request.weights in self._whole.given:
            said = await self._in_memory(request.weights, request)
            return replace(said, version=request.version)
        model = self._labels.of(request.weights, request.version)
        said, speaker = await self._life.timed(self._asked(model, request))
        name, version = self._labels.read(speaker)
        if name != request.weights and speaker != self._base:
            raise EngineError(f"{self.root}: asked '{model}', and '{speaker}' answered")
        return replace(said, version=version)

    async def _in_memory(self, name: str | None, request: Request) -> Completion:
        """Return what all the weights in memory say: those of `name`, or the base model's.

        The clock doesn't run while others speak first: the server isn't slow, nor asked too much.
        """
        await self._whole.enter(name, request.version)
        try:
            return await self._life.timed(self._as_base(request))
        finally:
            self._whole.leave()

    async def _as_base(self, request: Request) -> Completion:
        said, speaker = await self._asked(self._base, request)
        if speaker != self._base:
            raise EngineError(f"{self.root}: asked '{self._base}', and '{speaker}' answered")
        if not self._ours and self._whole.given:
            await self._whole.confirm()
        return said

    async def _asked(self, model: str, request: Request) -> tuple[Completion, str]:
        """Return what the server says as `model`, and who it says has spoken."""
        sampling = request.sampling
        more: dict[str, Any] = {
            "logprobs": True,
            "return_token_ids": True,
            # A server may have other defaults, from the model's generation_config.json.
            "top_k": sampling.top_k or -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
        }
        try:
            if request.choices:
                how = wanted(request, self._verdicts)
                return await self._polls.ask(model, self._base, request, more, how)
            if request.shape:
                more["structured_outputs"] = {"json": orjson.loads(request.shape)}
            said, reply = await self._together.ask(model, request, more)
            return said, reply.model or ""
        except Missing as error:
            if await self._lent.had(request.weights, request.version):
                raise Fault(f"{error}; it had it, and was given it again") from None
            raise
