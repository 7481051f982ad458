"""The work of serving.py: the calls of debates, played by hand for sides that know none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

AGENTS, ROUNDS, IN_FLIGHT = 3, 2, 256
CALLS = AGENTS * ROUNDS
QUESTION = (
    "A shop has three boxes of apples and gets four more on the next day. How many boxes of apples "
    "does it have then, if none were sold? Think it through, and say the number at the end. "
)
SHOWN = "These are the answers of others to the question:\n"

Ask = Callable[[list[dict[str, str]]], Awaitable[str]]
"""Asks one chat and returns what is replied."""


def asked(episode: int) -> str:
    """Return the question of one debate: like the others, and its own."""
    return f"{QUESTION * 3}(Shop number {episode}.)"


async def debates(ask: Ask, episodes: int) -> list[float]:
    """Play debates by hand, so many calls in flight; return how long each call took."""
    room, took = asyncio.Semaphore(IN_FLIGHT), list[float]()

    async def call(chat: list[dict[str, str]]) -> str:
        async with room:
            start = time.perf_counter()
            text = await ask(chat)
            took.append(time.perf_counter() - start)
            return text

    async def debate(episode: int) -> str:
        chats = [[{"role": "user", "content": asked(episode)}] for _ in range(AGENTS)]
        said = await asyncio.gather(*map(call, chats))
        for _ in range(ROUNDS - 1):
            for i, chat in enumerate(chats):
                others = "\n".join(text for j, text in enumerate(said) if j != i)
                chat.append({"role": "assistant", "content": said[i]})
                chat.append({"role": "user", "content": f"{SHOWN}{others}\nAnswer it again."})
            said = await asyncio.gather(*map(call, chats))
        return max(said, key=said.count)

    await asyncio.gather(*map(debate, range(episodes)))
    return took


def body(chat: list[dict[str, str]]) -> dict[str, Any]:
    """Return what is asked of the server beside the chat, by all who can say it."""
    sampling = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 512, "seed": 7, "n": 1}
    return {"model": "base", "messages": chat, **sampling, "logprobs": True}
