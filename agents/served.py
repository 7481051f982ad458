"""The engine that a vLLM server is: a base model, and weights that come and go by version."""

import asyncio
import re
import time
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

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

T = TypeVar("T")

UNANSWERED = 3
"""How often a server is started again that died before it answered anything."""
GOODBYE_S = 10.0
"""How long another's server may take to drop what we gave it."""
AGAIN_S = 0.5
"""How long to wait before another's server that isn't there yet is looked for again."""
NUMBERS = re.compile(
    rb"^vllm:(num_requests_running|num_requests_waiting|num_preemptions_total|prompt_tokens_total"
    rb"|generation_tokens_total)\{[^}]*\} (\S+)$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Endurance:
    """How long and how often a server is waited for."""

    start_s: float
    """How long it may take to be ready, or a running one to say what it serves."""
    timeout_s: float | None = None
    """How long one call may take; a server of ours that did nothing for so long has hung."""
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
        self._whole = Whole(wire, self._labels, endurance.start_s, ours=server is not None)
        self._polls = Polls(wire)
        self._verdicts: dict[str, Reading | None] = {}
        self._base = ""
        self._starts = 0
        self._unanswered = 0
        self._began = 0.0
        self._moved = 0.0
        self._worked = -1.0
        self._hung = False
        self._asleep = False
        self._waking = asyncio.Lock()
        self._starting: asyncio.Task[None] | None = None

    @property
    def root(self) -> str:
        """Where it serves."""
        return self._wire.root

    @property
    def ready(self) -> bool:
        """Whether it serves now, as far as is known."""
        task = self._starting
        return task is not None and task.done() and not task.exception() and not self._gone

    @property
    def _gone(self) -> bool:
        return self._server is not None and (self._hung or not self._server.alive)

    async def serving(self) -> None:
        """Wait until the server serves; where ours died or hung, start it again with its weights.

        One start serves all who wait for it, and outlives their deadlines.
        """
        task = self._starting
        if task is None or (task.done() and (self._gone or task.exception() is not None)):
            task = self._starting = asyncio.create_task(self._start())
        await asyncio.shield(task)
        if self._asleep:
            async with self._waking:
                if self._asleep:
                    await self._wire.order("/wake_up", {})
                    self._asleep = False

    async def generate(self, request: Request) -> Completion:
        """Return the completion, stamped with the version that the server says has spoken."""
        await self.serving()
        return await self._timed(self._by_whom(request))

    async def load(self, weights: Weights) -> None:
        """Serve `weights` from now on; the server's own list says that it does."""
        await self.serving()
        how = read(weights.path)
        await self._timed((self._whole if is_whole(weights) else self._lent).give(weights))
        self._verdicts[weights.name] = how

    async def held(self) -> Mapping[str, int]:
        """Return the versions of our weights, by name, that the server lists.

        Of whole weights it holds one set: the one that it was given last, if it still can.
        """
        await self.serving()
        return await self._timed(self._held())

    async def queue(self) -> Queue | None:
        """Return what the server's metrics say of its queue."""
        return await self._look() if self.ready else None

    async def _look(self) -> Queue | None:
        """Look at the metrics, and note when the server last did anything."""
        seen: dict[bytes, float] = {}
        for name, number in NUMBERS.findall(await self._wire.get("/metrics")):
            seen[name] = seen.get(name, 0.0) + float(number)
        if len(seen) < 5:
            return None
        worked = seen[b"prompt_tokens_total"] + seen[b"generation_tokens_total"]
        if worked != self._worked:
            self._worked, self._moved = worked, time.monotonic()
        running, waiting = seen[b"num_requests_running"], seen[b"num_requests_waiting"]
        return Queue(int(running), int(waiting), int(seen[b"num_preemptions_total"]))

    async def rest(self) -> None:
        """Leave the GPU's memory to others, until the next call, where it was set up for it."""
        if not self._endurance.sleep:
            return
        await self.serving()
        await self._timed(self._wire.order("/sleep?level=1", {}))
        self._asleep = True

    async def close(self) -> None:
        """Stop our server; take from another's what is ours."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            with suppress(asyncio.CancelledError, MootError):
                await self._starting
        if self._server is not None:
            return await self._server.stop()
        for ours, within_s in ((self._lent, GOODBYE_S), (self._whole, self._endurance.start_s)):
            with suppress(MootError, TimeoutError):
                async with asyncio.timeout(within_s):
                    await ours.take_back()

    async def _timed(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what a call gives, within the time that it may take.

        A server of ours has hung that did nothing for so long, neither an answer nor a token.
        """
        limit, start = self._endurance.timeout_s, time.monotonic()
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                result = await call
        except TimeoutError:
            if limit is None or not clock.expired():
                raise
            with suppress(EngineError, TimeoutError):
                async with asyncio.timeout(GOODBYE_S):
                    await self._look()
            if start >= self._began and time.monotonic() - self._moved >= limit:
                self._hung = True
            raise Fault(f"{self.root}: no answer within {limit:g} s") from None
        self._moved, self._unanswered = time.monotonic(), 0
        return result

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

    async def _start(self) -> None:
        if self._server is not None:
            await self._start_ours(self._server)
        try:
            async with asyncio.timeout(self._endurance.start_s):
                self._base = await self._first()
                self._whole.began(self._folder)
                if self._server is None:
                    await self._whole.look()
                await self._lent.again()
                with suppress(EngineError):  # what has no metrics tells nothing later either
                    await self._look()
        except TimeoutError:
            limit = f"{self._endurance.start_s:g} s (start_s)"
            raise EngineError(f"{self.root}: said nothing within {limit}") from None
        self._began = self._moved = time.monotonic()
        self._hung = False

    async def _first(self) -> str:
        """Return the name of the base model, as soon as the server tells it."""
        while True:
            try:
                return (await self._lent.models())[0]
            except Fault:
                if self._server is not None:
                    raise
                await asyncio.sleep(AGAIN_S)  # another's may be starting

    async def _start_ours(self, server: Server) -> None:
        limits = self._endurance
        if self._unanswered > UNANSWERED or self._starts > limits.restarts:
            why = (
                f"{self._unanswered} times in a row without an answer"
                if self._unanswered > UNANSWERED
                else f"{self._starts} times (restarts: {limits.restarts})"
            )
            end = f"{self.root} did nothing for {limits.timeout_s} s" if server.alive else ""
            await server.stop()
            raise Gone(f"started {why}: {end or server.obituary()}")
        self._starts += 1
        self._unanswered += 1
        self._asleep = False
        try:
            await server.start(lambda: self._wire.get("/health"), limits.start_s)
        except EngineError as error:
            if self._starts == 1:
                raise
            raise Fault(str(error)) from None  # it did start once, so it may again

    async def _by_whom(self, request: Request) -> Completion:
        """Return the completion under the version of who spoke."""
        if not request.version or request.weights is None:
            return await self._in_memory(None, request)
        if request.weights in self._whole.given:
            said = await self._in_memory(request.weights, request)
            return replace(said, version=request.version)
        model = self._labels.of(request.weights, request.version)
        said, speaker = await self._asked(model, request)
        name, version = self._labels.read(speaker)
        if name != request.weights and speaker != self._base:
            raise EngineError(f"{self.root}: asked '{model}', and '{speaker}' answered")
        return replace(said, version=version)

    async def _in_memory(self, name: str | None, request: Request) -> Completion:
        """Return what all the weights in memory say: those of `name`, or the base model's."""
        await self._whole.enter(name, request.version)
        try:
            said = await self._as_base(request)
            if self._server is None and self._whole.given:
                await self._whole.confirm()
            return said
        finally:
            self._whole.leave()

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
