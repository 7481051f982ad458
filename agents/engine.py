"""The engine: the one seam between Moot and any language model, and how YAML describes it."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol, runtime_checkable

from pydantic import Field

from .price import Price
from .types import Completion, Precision, Request, Settings, Weights


@dataclass(frozen=True, slots=True)
class Queue:
    """How busy an engine is, as it says itself."""

    running: int
    """Requests that are being answered now."""
    waiting: int
    """Requests that wait for their turn there."""
    preempted: int
    """How often, since it started, one had to stop for want of memory and begin again."""
    answered: int = 0
    """How many it has answered since it started: 0, like the next two, where it doesn't tell."""
    tokens: int = 0
    """Tokens that it has read and said."""
    latencies_s: float = 0.0
    """How long the answers took, from when each request came there: their sum."""


class Engine(Protocol):
    """A served model: the one seam between Moot and any language model.

    `generate` raises `Fault` for what may pass and `EngineError` for what won't.  It is called
    concurrently, and batches what it is asked together if it can.
    """

    async def generate(self, request: Request) -> Completion:
        """Return the completion of one request."""
        ...

    async def load(self, weights: Weights) -> None:
        """Serve `weights` under their name from now on, in place of their earlier version."""
        ...

    async def held(self) -> Mapping[str, int]:
        """Return the version the engine holds of each weights it was given, asked of the engine."""
        ...


@runtime_checkable
class Telling(Protocol):
    """An engine that tells how busy it is."""

    async def queue(self) -> Queue | None:
        """Return what runs and waits there; `None`: it doesn't tell after all."""
        ...


@runtime_checkable
class Several(Protocol):
    """An engine that is several servers, each of which could be another than the others."""

    async def everywhere(self, request: Request) -> Sequence[Completion]:
        """Return what each of them makes of one request."""
        ...


async def everywhere(engine: Engine, request: Request) -> Sequence[Completion]:
    """Return what each of the servers behind `engine` makes of one request."""
    if isinstance(engine, Several):
        return await engine.everywhere(request)
    return [await engine.generate(request)]


@runtime_checkable
class Elsewhere(Protocol):
    """An engine that is another's, who may not let us in."""

    async def probe(self) -> None:
        """Raise an `EngineError` if it is certain that it answers nothing that we ask."""
        ...


@runtime_checkable
class Greeting(Protocol):
    """An engine that people come to."""

    @property
    def greeting(self) -> str:
        """Where it awaits them, in words."""
        ...


@runtime_checkable
class Resting(Protocol):
    """An engine that can leave the GPU's memory to others."""

    async def rest(self) -> None:
        """Leave it to them, until the next call; nothing happens where it wasn't set up for it."""
        ...


class Limits(Settings):
    """How hard an engine may be driven, and how patiently."""

    concurrency: int = Field(default=256, ge=1, le=100_000)
    """The most requests under way at once. Fewer are sent if the engine is full (a vLLM server
    reports it, others refuse with 429 or 503), or if it gains nothing from more (judged by a vLLM
    server's latency)."""
    requests_per_second: float | None = Field(default=None, gt=0)
    """Unbounded if left out."""
    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Tokens in and out together; unbounded if left out."""
    timeout_s: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """The longest one call may take before it counts as a fault. `auto` is 600 for a server, and
    unbounded for an engine in this process, whose answers can't be lost on the way."""
    patience_s: float = Field(default=1800.0, ge=0)
    """How long a request is tried again after faults that may pass, over all tries; and how long an
    engine may be down before nothing is tried again."""

    def deadline_s(self, usual: float | None) -> float | None:
        """Return how long one call may take, in seconds: `usual` where nothing is set."""
        return usual if self.timeout_s == "auto" else self.timeout_s


BATCHES = "answers in batches, whose floating point depends on what is asked together"
"""Why an engine that batches varies."""
SERVER_S = 600.0
"""How long a call to a server may take where nothing is set."""


class EngineSettings(Protocol):
    """An engine as YAML describes it; `open` brings it to life."""

    @property
    def kind(self) -> str:
        """Its name in YAML."""
        ...

    @property
    def limits(self) -> Limits:
        """How hard it may be driven."""
        ...

    @property
    def price(self) -> Price | None:
        """What its tokens cost; `None`: nothing is said of cost."""
        ...

    @property
    def trains(self) -> str | None:
        """The model behind it, as `weights.models.locate` takes it; `None`: it can't learn."""
        ...

    @property
    def precision(self) -> Precision | None:
        """What that model's numbers are; `None`: there is none, or they are another's affair."""
        ...

    @property
    def deadline_s(self) -> float | None:
        """How long one call is waited for, in seconds; `None`: without a bound, or the engine sees
        to it itself."""
        ...

    @property
    def varies(self) -> str:
        """Why equal requests may get unequal completions, in words: the engine "answers ..."; empty
        where they get equal ones, to the last bit, whatever else is asked."""
        ...

    def open(self, logs: Path, adapters: int = 0) -> AbstractAsyncContextManager[Engine]:
        """Start the engine, or attach to it; leaving the context stops what was started.

        Args:
            logs: an existing folder that the engine may write its own logs to.
            adapters: how many will be loaded, each in place of its earlier version.
        """
        ...
