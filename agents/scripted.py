"""Scripted: an engine that says what it is told to, for tests and dry runs; no model is asked."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import shake_128
from pathlib import Path
from random import Random
from typing import Literal

from pydantic import Field

from .beside import ModelName
from .engine import Engine, Limits
from .price import Price
from .types import Completion, Request, Settings, Weights


class ScriptedEngine:
    """An engine whose words come from a function.

    It keeps a ledger of the weights it is given and reads none of them.  Its log-probabilities, one
    a word, are made up: they follow from the text and the version that speaks, so they do change
    with a version, as a model's would, and say nothing about any model.  It gives no token ids,
    counts words for tokens, and says its lines whole, whatever `max_tokens`, `stop`, choices and
    shape are; but what it is given as its only choice it says.
    """

    def __init__(
        self,
        reply: Callable[[Request], str | Completion],
        latency_s: float = 0,
        *,
        logprobs: bool = True,
    ) -> None:
        """Answer each request by `reply`.

        Args:
            reply: a text becomes a completion; a `Completion` is given as it is, so that a test may
                have the engine claim anything; what it raises is raised.
            latency_s: how long an answer takes.
            logprobs: whether it makes up log-probabilities for texts; else it tells none.
        """
        self._reply = reply
        self._latency_s = latency_s
        self._logprobs = logprobs
        self._held: dict[str, int] = {}

    async def generate(self, request: Request) -> Completion:
        """Return the scripted completion, stamped with the version that is held."""
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        said = request.choices[0] if len(request.choices) == 1 else self._reply(request)
        if isinstance(said, Completion):
            return said
        # Version 0 of any weights is the base model, whatever was loaded since.
        version = self._held.get(request.weights or "", 0) if request.version else 0
        words = len(said.split())
        return Completion(
            text=said,
            finish="stop",
            version=version,
            tokens_in=sum(len(message.content.split()) for message in request.prompt),
            tokens_out=words,
            latency_s=self._latency_s,
            logprobs=_made_up(said, version, words) if self._logprobs else (),
        )

    async def load(self, weights: Weights) -> None:
        """Note the version; the files are not looked at."""
        self._held[weights.name] = weights.version

    async def held(self) -> Mapping[str, int]:
        """Return the version noted of each weights."""
        return dict(self._held)


class Reply(Settings):
    """What is said to some prompts."""

    when: str
    """Matches prompts whose last message contains this."""
    say: tuple[str, ...] = Field(min_length=1)
    """The replies, one of which the request's seed chooses."""


class Scripted(Settings):
    """An engine that says given lines, without a model."""

    kind: Literal["scripted"] = "scripted"
    lines: tuple[str, ...] = Field(min_length=1)
    """The replies, one of which the request's seed chooses."""
    replies: tuple[Reply, ...] = ()
    """Replies to certain prompts, in place of `lines`; the first that matches."""
    model: ModelName | None = None
    """The model that its learners train; it is never asked."""
    latency_s: float = Field(default=0.0, ge=0)
    """How long an answer takes."""
    limits: Limits = Limits()
    """How hard it may be driven, and how patiently."""
    price: Price | None = None
    """What its tokens cost; left out: nothing is said of cost."""

    @property
    def trains(self) -> str | None:
        """The model that its learners train, though it never speaks."""
        return self.model

    @property
    def precision(self) -> None:
        """None: its model never speaks."""
        return

    @property
    def deadline_s(self) -> float | None:
        """None, if it isn't set: what answers in this process can't be lost on the way."""
        return self.limits.deadline_s(None)

    @property
    def varies(self) -> str:
        """It doesn't."""
        return ""

    @asynccontextmanager
    async def open(self, logs: Path, adapters: int = 0) -> AsyncGenerator[Engine]:
        """Give the engine; it writes no logs."""
        yield ScriptedEngine(self._line, self.latency_s)

    def _line(self, request: Request) -> str:
        last = request.prompt[-1].content
        lines = next((reply.say for reply in self.replies if reply.when in last), self.lines)
        return Random(request.seed).choice(lines)  # neighbouring seeds give unlike lines


def _made_up(text: str, version: int, words: int) -> tuple[float, ...]:
    """Return a number in [-4, 0) for each word: always the same for this text and version."""
    digest = shake_128(f"{version}/{text}".encode()).digest(2 * words)
    numbers = (int.from_bytes(digest[i : i + 2]) for i in range(0, 2 * words, 2))
    return tuple(-(number + 1) / 2**14 for number in numbers)
