"""The engine that a vLLM server is: a base model, and weights that come and go by version."""

import asyncio
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from .chat import ask
from .errors import EngineError, Fault, Gone, Missing, MootError
from .lent import Labels, Lent
from .poll import Polls
from .self_reward import Reading, read, wanted
from .server import Server
from .types import Completion, Queue, Request, Weights
from .whole import Whole
from .wire import Wire

UNANSWERED = 3
"""How often a server is started again that died before it answered anything."""
GOODBYE_S = 10.0
"""How long another's server may take to drop what we gave it."""
GAUGE = re.compile(
    rb"^vllm:(num_requests_running|num_requests_waiting|num_preemptions_total)\{[^}]*\} (\S+)$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Endurance:
    """How long and how often a server is waited for."""

    start_s: float
    """How long it may take to be ready, or a running one to say what it serves."""
    timeout_s: float | None = None
    """How long one call may take; a server of ours that answered none for so long has hung."""
    restarts: int = 0
    """How often one of ours that died or hung is started again, all in all."""
    sleep: bool = False
    """Whether it leaves its GPU's memory to others when it is told to rest."""


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
        self._server = server
        self._endurance = endurance
        self._folder = base
        self._labels = Labels()
        self._lent = Lent(wire, self._labels)
        self._whole = Whole(wire, self._labels)
        self._polls = Polls(wire)
        self._verdicts: dict[str, Reading | None] = {}
        self._base = ""
        self._starts = 0
        self._unanswered = 0
        self._answered = 0.0
        self._hung = False
        self._asleep = False
        self._starting: asyncio.Task[None] | None = None

    @property
    def root(self) -> str:
        """Where it serves."""
        return self._wire.root

    async def serving(self) -> None:
        """Wait until the server serves; where ours died or hung, start it again with its weights.

        One start serves all who wait for it, and outlives their deadlines.
        """
        task = self._starting
        gone = self._server is not None and (self._hung or not self._server.alive)
        if task is None or (task.done() and (gone or task.exception() is not None)):
            task = self._starting = asyncio.create_task(self._start())
        await asyncio.shield(task)
        if self._asleep:
            self._asleep = False
            await self._wire.post("/wake_up", {}, hopeless=(500,))

    async def generate(self, request: Request) -> Completion:
        """Return the completion, stamped with the version that the server says has spoken."""
        await self.serving()
        start = time.monotonic()
        try:
            said = await self._by_whom(request)
        except asyncio.CancelledError:
            limit = self._endurance.timeout_s
            waited = limit is not None and time.monotonic() - start >= limit
            self._hung = self._hung or (waited and self._answered < start)
            raise
        self._answered, self._unanswered = time.monotonic(), 0
        return said

    async def load(self, weights: Weights) -> None:
        """Serve `weights` from now on; the server's own list says that it does."""
        await self.serving()
        how = read(weights.path)
        await (self._whole if is_whole(weights) else self._lent).give(weights)
        self._verdicts[weights.name] = how

    async def held(self) -> Mapping[str, int]:
        """Return the versions of our weights, by name, that the server lists."""
        await self.serving()
        labels = await self._lent.models()
        if self._whole.given:
            labels.append(await self._whole.held())
        found = sorted((version, name) for name, version in map(self._labels.read, labels))
        return {name: version for version, name in found if name is not None}

    async def queue(self) -> Queue | None:
        """Return what the server's metrics say of its queue."""
        if self._starting is None or not self._starting.done():
            return None
        seen: dict[bytes, float] = {}
        for name, number in GAUGE.findall(await self._wire.get("/metrics")):
            seen[name] = seen.get(name, 0.0) + float(number)
        if len(seen) < 3:
            return None
        running, waiting = seen[b"num_requests_running"], seen[b"num_requests_waiting"]
        return Queue(int(running), int(waiting), int(seen[b"num_preemptions_total"]))

    async def rest(self) -> None:
        """Leave the GPU's memory to others, until the next call, where it was set up for it."""
        if not self._endurance.sleep:
            return
        await self.serving()
        await self._wire.post("/sleep?level=1", {}, hopeless=(500,))
        self._asleep = True

    async def close(self) -> None:
        """Stop our server; take from another's what is ours."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            with suppress(asyncio.CancelledError, MootError):
                await self._starting
        if self._server is not None:
            return await self._server.stop()
        for ours in (self._lent, self._whole):
            with suppress(MootError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await ours.take_back()

    async def _start(self) -> None:
        if self._server is not None:
            await self._start_ours(self._server)
        try:
            async with asyncio.timeout(self._endurance.start_s):
                self._base = (await self._lent.models())[0]
        except TimeoutError:
            limit = f"{self._endurance.start_s:g} s (start_s)"
            raise EngineError(f"{self.root}: said nothing within {limit}") from None
        self._whole.began(self._folder)
        await self._lent.again()

    async def _start_ours(self, server: Server) -> None:
        limits = self._endurance
        if self._unanswered > UNANSWERED or self._starts > limits.restarts:
            why = (
                f"{self._unanswered} times in a row without an answer"
                if self._unanswered > UNANSWERED
                else f"{self._starts} times (restarts: {limits.restarts})"
            )
            raise Gone(f"started {why}: {server.obituary()}")
        self._starts += 1
        self._unanswered += 1
        self._hung = self._asleep = False
        try:
            await server.start(lambda: self._wire.get("/health"), limits.start_s)
        except EngineError as error:
            if self._starts == 1:
                raise
            raise Fault(str(error)) from None  # it did start once, so it may again

    async def _by_whom(self, request: Request) -> Completion:
        """Return the completion under the version of who spoke."""
        if not request.version or request.weights is None:
            if not self._whole.involved:
                return await self._as_base(request)
            async with self._whole.speaking(None, 0):
                return await self._as_base(request)
        if request.weights in self._whole.given:
            async with self._whole.speaking(request.weights, request.version):
                return replace(await self._as_base(request), version=request.version)
        model = self._labels.of(request.weights, request.version)
        said, speaker = await self._asked(model, request)
        name, version = self._labels.read(speaker)
        if name != request.weights and speaker != self._base:
            raise EngineError(f"{self.root}: asked '{model}', and '{speaker}' answered")
        return replace(said, version=version)

    async def _as_base(self, request: Request) -> Completion:
        said, speaker = await self._asked(self._base, request)
        if speaker != self._base:
            raise EngineError(f"{self.root}: asked '{self._base}', and '{speaker}' answered")
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
            said, reply = await ask(self._wire, model, request, more)
            return said, reply.model
        except Missing as error:
            if await self._lent.had(request.weights, request.version):
                raise Fault(f"{error}; it had it, and was given it again") from None
            raise


def is_whole(weights: Weights) -> bool:
    """Return whether these are all weights of a model, not an adapter to some."""
    return any(weights.path.glob("model*.safetensors"))
