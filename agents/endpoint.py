"""Any server that speaks OpenAI's chat completions: it answers, and can't be trained."""

import asyncio
import json
import math
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from .address import Url
from .engine import BATCHES, SERVER_S, Engine, Limits
from .errors import Denied, EngineError, Fault, Refusal
from .price import Price
from .types import Completion, Message, Request, Sampling, Settings, Weights

if TYPE_CHECKING:
    from .chat import Reply
    from .wire import Wire


BOUND, NEWER = "max_tokens", "max_completion_tokens"
"""What the completion's bound is called: by most servers, and by newer models of OpenAI's."""
MOST, FEWER = 20, 5
"""How many alternatives to the first token are asked for: in the end, where a server refuses."""
LEFT_OUT = {"logprobs": ("logprobs",), "json_schema": ("response_format", "schema")}
"""By option, the words of a server that refuses what the option leaves out."""
PROBE = Request((Message("user", "Say yes."),), Sampling(max_tokens=1), seed=0)
"""What an endpoint is asked before anything else, to find out whether it lets us in."""
PROBE_S = 20.0
"""How long that is waited for."""
SAYING = 24
"""Tokens that a reply to a choice may have beside the choice itself."""
EVEN = 0.5
"""How likely a reply must begin with a choice, that its first token is read for one."""
ROUNDING = 0.01
"""What is above 0 by more than this is no log-probability."""


class Endpoint(Settings):
    """A server anywhere that speaks OpenAI's chat completions API."""

    kind: Literal["endpoint"] = "endpoint"
    url: Url
    """Its base URL, with or without a trailing /v1. An API of another version has it in the URL
    (https://host/v1beta/openai), one of none has /chat/completions at the end."""
    model: str = Field(min_length=1)
    """The model's name on that server."""
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the API key; the key itself is never written down."""
    logprobs: bool = True
    """Whether to ask for the log-probabilities of choices; some servers refuse the request."""
    json_schema: bool = True
    """Whether to ask for replies that follow a JSON Schema; some servers refuse the request."""
    limits: Limits = Limits()
    """How hard it may be driven, and how patiently."""
    price: Price | None = None
    """What its tokens cost; left out: nothing is said of cost."""

    @property
    def trains(self) -> str | None:
        """Nothing: its weights are not ours."""
        return None

    @property
    def precision(self) -> None:
        """None: its model is another's affair."""
        return

    @property
    def deadline_s(self) -> float | None:
        """So long a call is waited for, which may be lost on the way."""
        return self.limits.deadline_s(SERVER_S)

    @property
    def varies(self) -> str:
        """A server batches, and rounds by the batch."""
        return BATCHES

    @asynccontextmanager
    async def open(self, logs: Path, adapters: int = 0) -> AsyncGenerator[Engine]:
        """Give the engine at the other end; it writes no logs."""
        from .wire import connect

        async with connect(self.url, self._key()) as wire:
            yield _Remote(wire, self)

    @property
    def whose_key(self) -> str:
        """Where the key comes from, in words."""
        if self.key_env is None:
            return "no key was sent: key_env names the environment variable that holds one"
        return f"the environment variable {self.key_env} holds the key; key_env names it"

    def _key(self) -> str | None:
        if self.key_env is None:
            return None
        key = os.environ.get(self.key_env, "").strip()
        if not key:
            raise EngineError(
                f"{self.url}: the environment variable {self.key_env} is not set; "
                "it should hold the key (key_env names it)"
            )
        if not (key.isascii() and key.isprintable()):
            raise EngineError(
                f"the environment variable {self.key_env} holds no key: odd characters"
            )
        return key


class _Remote:
    """The engine behind an endpoint."""

    def __init__(self, wire: "Wire", settings: Endpoint) -> None:
        self._wire = wire
        self._settings = settings
        self._bound = BOUND
        self._top = MOST
        self._thinks = False

    async def probe(self) -> None:
        """Ask for one token, and raise what keeps the server from answering anything.

        What may pass, or concerns this one request, is left to those that come after it.
        """
        within_s = min(PROBE_S, self._settings.limits.deadline_s(PROBE_S) or PROBE_S)
        with suppress(Fault, Refusal, TimeoutError):
            async with asyncio.timeout(within_s):
                await self._ask(PROBE, {})

    async def generate(self, request: Request) -> Completion:
        """Return the server's completion; its only version is 0."""
        if request.version:
            raise EngineError(f"{self._wire.root}: an endpoint speaks with no weights but its own")
        if request.choices:
            return await self._choice(request)
        more = _shape(request.shape) if request.shape and self._settings.json_schema else {}
        completion, _ = await self._ask(request, more)
        return completion

    async def _choice(self, request: Request) -> Completion:
        """Return what the server says, and how likely each choice was if it tells."""
        if len(request.choices) == 1:
            raise EngineError(
                f"{self._wire.root}: an endpoint can't tell how likely a given reply is; "
                "engines of kind local and vllm can"
            )
        most, room = request.sampling.max_tokens, SAYING + max(map(len, request.choices))
        more = {"logprobs": True} if self._settings.logprobs else {}

        def bounded(tokens: int) -> Request:
            bound = {"max_tokens": tokens, "stop": ()}
            return replace(request, sampling=request.sampling.model_copy(update=bound))

        short = most if self._thinks else room
        said, reply = await self._ask(bounded(short), more)
        if said.finish == "length" and not said.text and short < most:  # all of it were thoughts
            self._thinks = True
            spent = said
            said, reply = await self._ask(bounded(most), more)
            said = replace(
                said,
                tokens_in=spent.tokens_in + said.tokens_in,
                tokens_cached=spent.tokens_cached + said.tokens_cached,
                tokens_out=spent.tokens_out + said.tokens_out,
            )
        first = [(one.token or "", one.likely) for one in reply.alternatives]
        return replace(said, logprobs=(), shares=shares_of(request.choices, first))

    async def _ask(self, request: Request, more: Mapping[str, Any]) -> tuple[Completion, "Reply"]:
        """Return what the server says.

        Where it refuses the bound's name or so many alternatives, it is asked as it wants it, from
        then on.
        """
        from .chat import ask

        bound, top = self._bound, self._top
        body = {**more, "top_logprobs": top} if "logprobs" in more else more
        try:
            return await ask(self._wire, self._settings.model, request, body, bound)
        except Denied as error:
            raise type(error)(f"{error} ({self._settings.whose_key})") from None
        except Refusal as error:
            words = str(error)
            if bound == BOUND and BOUND in words and NEWER in words:
                self._bound = NEWER
            elif "top_logprobs" in words and "top_logprobs" in body and top > FEWER:
                self._top = FEWER
            else:
                raise Refusal(words + _way_out(words, body)) from None
        return await self._ask(request, more)

    async def load(self, weights: Weights) -> None:
        """Refuse: an endpoint takes no weights."""
        raise EngineError(f"{self._wire.root}: an endpoint can't load weights ('{weights.name}')")

    async def held(self) -> Mapping[str, int]:
        """Return nothing: no weights can be given to it."""
        return {}


def shares_of(choices: Sequence[str], first: Sequence[tuple[str, float]]) -> tuple[float, ...]:
    """Return how likely each choice is, by what the first token might have been.

    Letter case doesn't matter, where the choices differ without it: "No" is a no.  Nothing is told
    where an alternative may be the beginning of several choices, or of one that doesn't stand there
    itself ("dis" hides how likely "disagree" is), or where the reply most likely begins with no
    choice at all, as with "**": what is likely then among the rest says little of what follows.
    Nor is anything told by numbers that are no log-probabilities.
    """
    if not all(logprob <= ROUNDING for _, logprob in first):
        return ()
    named = {choice.casefold() for choice in choices}
    cased = str.casefold if len(named) == len(choices) else str
    likely = dict.fromkeys(map(cased, choices), 0.0)
    words = [cased(token.strip()) for token, _ in first]
    for word, (_, logprob) in zip(words, first, strict=True):
        begun = {choice for choice in likely if word and choice.startswith(word)}
        if begun - set(words) or (word not in likely and len(begun) > 1):
            return ()
        if word in likely:
            likely[word] += math.exp(logprob)
    total = math.fsum(likely.values())
    return tuple(p / total for p in likely.values()) if total >= EVEN else ()


def _way_out(words: str, body: Mapping[str, Any]) -> str:
    """Return, in brackets, the option that leaves out what a server refuses, if there is one."""
    asked = {"logprobs": "logprobs" in body, "json_schema": "response_format" in body}
    for option, names in LEFT_OUT.items():
        if asked[option] and any(name in words.casefold() for name in names):
            return f" (the engine's `{option}: false` leaves it out)"
    return ""


def _shape(schema: str) -> dict[str, Any]:
    """Return the request for a reply of a JSON Schema, as OpenAI has it."""
    described = {"name": "reply", "schema": json.loads(schema), "strict": False}
    return {"response_format": {"type": "json_schema", "json_schema": described}}
