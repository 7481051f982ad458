"""OpenAI's chat completions, as far as we speak it: a request's body, and its answer read."""

import time
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from .errors import Fault, Refusal
from .types import Completion, Request
from .wire import Wire


class _Said(BaseModel):
    content: str | None = None


class Alternative(BaseModel):
    """A token that might have been said, and how likely it was."""

    token: str = ""
    logprob: float = Field(allow_inf_nan=False)


class _Token(Alternative):
    top_logprobs: tuple[Alternative, ...] | None = None


class _Logprobs(BaseModel):
    content: tuple[_Token, ...] | None = None


class _Choice(BaseModel):
    message: _Said
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None
    token_ids: tuple[int, ...] | None = None


class _Usage(BaseModel):
    prompt_tokens: int = Field(ge=0)
    completion_tokens: int = Field(ge=0)


class Reply(BaseModel):
    """A server's answer."""

    model: str
    choices: tuple[_Choice, ...] = Field(min_length=1)
    usage: _Usage
    prompt_token_ids: tuple[int, ...] | None = None

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """Return what the first token might have been, where the server tells."""
        said = self.choices[0].logprobs
        first = said.content[0] if said and said.content else None
        return (first.top_logprobs or ()) if first else ()


async def ask(
    wire: Wire, model: str, request: Request, more: Mapping[str, Any] | None = None
) -> tuple[Completion, Reply]:
    """Return what `model` says, as version 0, beside the answer in the server's own words.

    Args:
        wire: the line to the server.
        model: the server's name for what is to speak.
        request: what it is asked; its choices are not looked at.
        more: what else the server understands, for the request's body.
    """
    start = time.monotonic()
    answer = await wire.post("/v1/chat/completions", _body(model, request) | dict(more or {}))
    try:
        reply = Reply.model_validate_json(answer)
    except ValidationError as error:
        raise Fault(f"{wire.root}: {_misread(error)}") from None
    return _completion(reply, wire.root, time.monotonic() - start), reply


def _body(model: str, request: Request) -> dict[str, Any]:
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": said.role, "content": said.content} for said in request.prompt],
        "n": 1,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        # Some servers keep seeds in 32 bits.
        "seed": request.seed % 2**31,
    }
    if sampling.stop:
        body["stop"] = sampling.stop
    if sampling.top_k:
        body["top_k"] = sampling.top_k
    return body


def _completion(reply: Reply, where: str, latency_s: float) -> Completion:
    choice = reply.choices[0]
    if choice.finish_reason == "content_filter":
        raise Refusal(f"{where}: the server's content filter withheld the answer")
    finish = choice.finish_reason
    if finish != "stop" and finish != "length":
        raise Fault(f"{where}: finish_reason {finish!r} is neither 'stop' nor 'length'")
    text = choice.message.content
    if text is None and finish == "length":
        text = ""  # all its tokens went into thinking
    if text is None:
        raise Fault(f"{where}: the answer has no text (content: null, finish_reason: {finish})")
    tokens = choice.token_ids or ()
    # Log-probs without ids are of nothing that could be learnt from.
    told = choice.logprobs if choice.token_ids is not None else None
    logprobs = (told.content or ()) if told else ()
    if len(tokens) != len(logprobs):
        raise Fault(f"{where}: {len(tokens)} token ids came with {len(logprobs)} log-probs")
    return Completion(
        text=text,
        finish=finish,
        version=0,
        tokens_in=reply.usage.prompt_tokens,
        tokens_out=reply.usage.completion_tokens,
        latency_s=latency_s,
        tokens=tokens,
        logprobs=tuple(token.logprob for token in logprobs),
        prompt_tokens=reply.prompt_token_ids or (),
    )


def _misread(error: ValidationError) -> str:
    """Return in a line the first thing that makes an answer unreadable."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(step) for step in first["loc"])
    return f"unreadable answer: {place + ': ' if place else ''}{first['msg']}"
