"""A poll: choices put to a vLLM server, which tells exactly how likely its model makes each.

One reply of one token tells of every choice that is one token.  The others are weighed as ends of
prompts: a second request has the server read the prompt with each of them behind it.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from msgspec import DecodeError, Struct, json

from ..chat import Reply, Usage, ask
from ..choices import Ballot
from ..errors import EngineError, Fault, Refusal
from ..self_reward import Reading
from ..types import PROBE, Completion, Message, Prompt, Request, Sampling
from ..wire import Wire

REMEMBERED = 4096
"""So many choices' ids are remembered: those of a vote are asked for again and again."""


class _Tokens(Struct, frozen=True):
    tokens: tuple[int, ...]


class _Logprob(Struct, frozen=True):
    logprob: float


class _Read(Struct, frozen=True):
    prompt_logprobs: tuple[dict[str, _Logprob] | None, ...]


class _Reads(Struct, frozen=True):
    model: str
    choices: tuple[_Read, ...]
    usage: Usage


TOKENS, READS = json.Decoder(_Tokens), json.Decoder(_Reads)


class Polls:
    """What is asked of one server."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._ids: dict[tuple[str, bool], tuple[int, ...]] = {}
        self._begin: tuple[int, ...] | None = None

    async def ask(
        self,
        model: str,
        base: str,
        request: Request,
        more: Mapping[str, Any],
        how: Reading | None = None,
    ) -> tuple[Completion, str]:
        """Return the choice that is given, as version 0, and the name of who spoke.

        Args:
            model: the server's name for what is to speak.
            base: its name for the base model, whose tokens all its adapters share.
            request: one with choices.
            more: what else stands in the request's body.
            how: how the verdict on the only choice is read; `None`: none is wanted.
        """
        start = time.monotonic()
        after = how.after if how else ()
        only = len(request.choices) == 1
        ids = [(*await self._tokens(base, one, only=only), *after) for one in request.choices]
        one = replace(request, sampling=Sampling(temperature=0, max_tokens=1))
        wanted = sorted({some[0] for some in ids})
        asked = {"logprob_token_ids": wanted, "return_tokens_as_token_ids": True, **more}
        _, reply = await ask(self._wire, model, one, asked)
        ballot = Ballot(reply.prompt_token_ids or (), ids, how)
        if not ballot.prompt:
            raise EngineError(f"{self._wire.root}: doesn't tell a prompt's token ids, as vLLM does")
        first = _first(reply)
        known: dict[tuple[int, ...], tuple[float, ...]] = {
            some: (first[some[0]],) for some in ids if len(some) == 1 and some[0] in first
        }
        due = [some for some in dict.fromkeys(ids) if some not in known]
        used = [reply.usage]
        if due:
            ends, usage = await self._ends(model, reply, ballot.prompt, due)
            known.update(ends)
            used.append(usage)
        ballot.logprobs = [known[some] for some in ids]
        given = replace(
            ballot.completion(request),
            version=0,
            latency_s=time.monotonic() - start,
            tokens_in=sum(one.prompt_tokens for one in used),
            tokens_cached=sum(one.cached for one in used),
        )
        return given, reply.model or ""

    async def _tokens(self, base: str, choice: str, *, only: bool) -> tuple[int, ...]:
        key = choice, only
        if key not in self._ids:
            if len(self._ids) >= REMEMBERED:
                self._ids.clear()
            self._ids[key] = await self._replied(base, choice, only=only)
        if not self._ids[key]:
            raise EngineError(f"the choice {choice!r} is no token, so it can't be weighed")
        return self._ids[key]

    async def _replied(self, base: str, text: str, *, only: bool) -> tuple[int, ...]:
        """Return the ids of a reply as it stands in a chat, as `Tokens.completion` does.

        Some templates (Qwen3's) put thoughts of nothing before a reply.  One of several choices is
        said behind these, as the model would; the only one is read as it was said, without.
        """
        alone = await self._alone(base, text)
        if self._begin is None:
            self._begin = await self._before_replies(base)
        if not (text and self._begin):
            return alone
        there = await self._chat(base, (*PROBE[:-1], Message("assistant", text)))
        found = _after(self._begin, there) or alone
        return alone if only and found[-len(alone) :] == alone else found

    async def _before_replies(self, base: str) -> tuple[int, ...]:
        """Return what stands before a reply that has other ids in a chat than alone; or nothing."""
        alone = await self._alone(base, PROBE[-1].content)
        begin = await self._chat(base, PROBE[:-1])
        try:
            there = await self._chat(base, PROBE)
        except Refusal:  # a template that puts something of its own into what was said
            return ()
        return begin if _after(begin, there) not in ((), alone) else ()

    async def _alone(self, base: str, text: str) -> tuple[int, ...]:
        return await self._read({"model": base, "prompt": text, "add_special_tokens": False})

    async def _chat(self, base: str, chat: Prompt) -> tuple[int, ...]:
        """Return the ids of a chat up to a reply, or to the end of the one that it ends with."""
        replied = chat[-1].role == "assistant"
        told = [{"role": said.role, "content": said.content} for said in chat]
        how = {"add_generation_prompt": not replied, "continue_final_message": replied}
        return await self._read({"model": base, "messages": told, **how})

    async def _read(self, body: Mapping[str, Any]) -> tuple[int, ...]:
        try:
            return TOKENS.decode(await self._wire.post("/tokenize", body)).tokens
        except (DecodeError, UnicodeDecodeError):
            raise Fault(f"{self._wire.root}/tokenize: unreadable answer") from None

    async def _ends(
        self, model: str, reply: Reply, prompt: Sequence[int], ends: Collection[tuple[int, ...]]
    ) -> tuple[dict[tuple[int, ...], tuple[float, ...]], Usage]:
        """Return the log-probability of each token of each end, when it stands behind `prompt`,
        and what it took to tell.
        """
        body = {
            "model": model,
            "prompt": [[*prompt, *end] for end in ends],
            "max_tokens": 1,
            "temperature": 0,
            "prompt_logprobs": 0,
        }
        try:
            answer = await self._wire.post("/v1/completions", body)
            reads = READS.decode(answer)
            if reads.model != reply.model:
                raise EngineError(
                    f"{self._wire.root}: '{reply.model}' and '{reads.model}' answered"
                )
            found = {
                end: tuple(
                    (told or {})[str(token)].logprob
                    for token, told in zip(end, read.prompt_logprobs[len(prompt) :], strict=True)
                )
                for end, read in zip(ends, reads.choices, strict=True)
            }
            return found, reads.usage
        except (DecodeError, KeyError, ValueError):
            raise Fault(f"{self._wire.root}/v1/completions: unreadable log-probs") from None


def _after(begin: tuple[int, ...], ids: tuple[int, ...]) -> tuple[int, ...]:
    """Return the ids that follow those which they begin with; none: they don't."""
    return ids[len(begin) :] if ids[: len(begin)] == begin else ()


def _first(reply: Reply) -> dict[int, float]:
    """Return the log-probabilities that a reply tells of its first token, by token id."""
    return {
        int(one.token.removeprefix("token_id:")): one.logprob
        for one in reply.alternatives
        if one.token and one.token.startswith("token_id:") and one.logprob is not None
    }
