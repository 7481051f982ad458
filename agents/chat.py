"""OpenAI's chat completions, as far as we speak it: a request's body, and its answer read."""

import json as lenient
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from msgspec import DecodeError, Meta, Struct, ValidationError, convert, field, json

from .errors import Fault, Refusal, Unusable
from .types import HALF, Completion, Request
from .wire import Wire

Count = Annotated[int, Meta(ge=0)]
#  A reply has an object for every token: they are made by the million, and hold no cycles.


class _Said(Struct, frozen=True, gc=False):
    content: str | None = None
    refusal: str | None = None
    """What it says instead of what was asked, where the server tells that apart."""


class Alternative(Struct, frozen=True, gc=False):
    """A token that might have been said, and how likely it was; `None`: it can't be told."""

    logprob: float | None
    token: str | None = None

    @property
    def likely(self) -> float:
        """Its log-probability; minus infinity where that isn't told."""
        return -math.inf if self.logprob is None else self.logprob


class _Token(Struct, frozen=True, gc=False):
    logprob: float | None
    top_logprobs: tuple[Alternative, ...] | None = None


class _Logprobs(Struct, frozen=True, gc=False):
    content: tuple[_Token, ...] | None = None


class _Choice(Struct, frozen=True, gc=False):
    message: _Said
    index: int | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None
    token_ids: tuple[int, ...] | None = None


class _Cached(Struct, frozen=True, gc=False):
    cached_tokens: Count | None = None


class Usage(Struct, frozen=True, gc=False):
    """What an answer took; a count that isn't told is 0."""

    read: Count | None = field(name="prompt_tokens")
    said: Count | None = field(name="completion_tokens")
    prompt_tokens_details: _Cached | None = None

    @property
    def prompt_tokens(self) -> int:
        """How many tokens the prompt has."""
        return self.read or 0

    @property
    def completion_tokens(self) -> int:
        """How many tokens all the completions have."""
        return self.said or 0

    @property
    def cached(self) -> int:
        """The prompt tokens that had been read before, as far as is told."""
        details = self.prompt_tokens_details
        return (details.cached_tokens or 0) if details else 0


class Reply(Struct, frozen=True, gc=False):
    """A server's answer."""

    choices: Annotated[tuple[_Choice, ...], Meta(min_length=1)]
    usage: Usage
    model: str | None = None
    prompt_token_ids: tuple[int, ...] | None = None

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """Return what the first token might have been, where the server tells."""
        said = self.choices[0].logprobs
        first = said.content[0] if said and said.content else None
        return (first.top_logprobs or ()) if first else ()


BROKEN = ("abort", "error")
"""Reasons to end that are the server's own trouble."""
READ = json.Decoder(Reply, strict=False)
"""Takes a count that is written as 3.0 or "3"."""


async def ask(
    wire: Wire,
    model: str,
    request: Request,
    more: Mapping[str, Any] | None = None,
    bound: str = "max_tokens",
) -> tuple[Completion, Reply]:
    """Return what `model` says, as version 0, beside the answer in the server's own words.

    Args:
        wire: the line to the server.
        model: the server's name for what is to speak.
        request: what it is asked; its choices are not looked at.
        more: what else the server understands, for the request's body.
        bound: what the server calls the completion's bound.
    """
    said, reply = await sample(wire, model, request, more, bound=bound)
    return said[0], reply


async def sample(
    wire: Wire,
    model: str,
    request: Request,
    more: Mapping[str, Any] | None = None,
    n: int = 1,
    bound: str = "max_tokens",
) -> tuple[list[Completion], Reply]:
    """Return `n` completions of a request (see `ask`); sample i has the request's seed plus i.

    A server tells of one of them how much of the prompt was cached.  That is said of all but the
    first, which is taken for uncached; it may be too little for any.
    """
    start = time.monotonic()
    body = _body(model, request, n, bound) | dict(more or {})
    answer = await wire.post("/v1/chat/completions", body)
    try:
        reply = _read(answer)
    except (DecodeError, UnicodeDecodeError) as error:
        whole = isinstance(error, ValidationError) or answer.rstrip().endswith(b"}")
        kind = Unusable if whole else Fault
        unread = kind(f"{wire.root}: unreadable answer: {error}")
        raise wire.inside(answer) or unread from None
    latency_s = time.monotonic() - start
    choices = _numbered(reply, n, wire.root) if n > 1 else reply.choices[:1]
    lengths = _lengths(choices, reply.usage.completion_tokens)
    said = [
        _completion(choice, length, reply, wire.root, latency_s)
        for choice, length in zip(choices, lengths, strict=True)
    ]
    used, read = reply.usage, reply.prompt_token_ids
    told = (used.prompt_tokens, used.completion_tokens)
    given = (told[0] if read is None else len(read), sum(lengths))
    if given != told:
        raise Fault(f"{wire.root}: {given} token ids came with counts of {told}")
    if n > 1:
        said[0] = replace(said[0], tokens_cached=0)
    return said, reply


def _read(answer: bytes) -> Reply:
    """Return the answer; it may hold -Infinity, and halves of characters."""
    try:
        return READ.decode(answer)
    except (DecodeError, UnicodeDecodeError) as error:
        try:
            said = lenient.loads(answer.decode("utf-8-sig", errors="replace"))
            return convert(said, Reply, strict=False)
        except (ValueError, DecodeError):
            raise error from None


def _numbered(reply: Reply, n: int, where: str) -> list[_Choice]:
    """Return the reply's `n` choices, by their numbers."""
    choices = {choice.index: choice for choice in reply.choices}
    if len(reply.choices) != n or choices.keys() != set(range(n)):
        found = [choice.index for choice in reply.choices]
        raise Fault(f"{where}: of {n} samples it gave those numbered {found}")
    return [choices[i] for i in range(n)]


def clipped(seed: int) -> int:
    """Return the seed that a server is told: some keep them in 32 bits."""
    return seed % 2**31


def _body(model: str, request: Request, n: int, bound: str) -> dict[str, Any]:
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": said.role, "content": said.content} for said in request.prompt],
        "n": n,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        bound: sampling.max_tokens,
        "seed": clipped(request.seed),
    }
    if sampling.stop:
        body["stop"] = sampling.stop
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    return body


def _lengths(choices: Sequence[_Choice], told: int) -> list[int]:
    """Return how many tokens each has, by ids or log-probs; of a single one it may be `told`."""
    if len(choices) == 1:
        return [len(choices[0].token_ids or ()) or told]
    return [len(one.token_ids or (one.logprobs and one.logprobs.content) or ()) for one in choices]


def _completion(
    choice: _Choice, length: int, reply: Reply, where: str, latency_s: float
) -> Completion:
    if choice.finish_reason == "content_filter":
        raise Refusal(f"{where}: the server's content filter withheld the answer")
    finish = choice.finish_reason
    if finish != "stop" and finish != "length":
        kind = Fault if finish in BROKEN else Unusable
        raise kind(f"{where}: finish_reason {finish!r} is neither 'stop' nor 'length'")
    said = choice.message
    text = said.refusal if said.content is None else said.content
    if text is None and finish == "stop" and not length:
        raise Unusable(f"{where}: the answer has no text (content: null, finish_reason: {finish})")
    tokens = choice.token_ids or ()
    # Log-probs without ids are of nothing that could be learnt from.
    told = choice.logprobs if choice.token_ids is not None else None
    given = (token.logprob for token in (told.content or ())) if told else ()
    logprobs = [one for one in given if one is not None and math.isfinite(one)]
    if len(tokens) != len(logprobs):
        raise Fault(f"{where}: {len(tokens)} token ids came with {len(logprobs)} log-probs")
    return Completion(
        text=HALF.sub("\ufffd", text or ""),  # null: all its tokens went into thinking
        finish=finish,
        version=0,
        tokens_in=reply.usage.prompt_tokens,
        tokens_out=length,
        latency_s=latency_s,
        tokens=tokens,
        logprobs=tuple(logprobs),
        prompt_tokens=reply.prompt_token_ids or (),
        tokens_cached=reply.usage.cached,
        ended_s=time.time(),
    )
