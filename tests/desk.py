"""People at a desk, as their page would answer."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from moot.agents.engine import Engine, Greeting
from moot.agents.human.human import Human
from moot.agents.types import Message, Request, Sampling

T = TypeVar("T")
PROMPT = (Message("system", "You are Anna."), Message("user", "Which? <b>1</b>\n\nor 2"))
FREE = Request(PROMPT, Sampling(max_tokens=1, stop=("x",)), seed=1)


class Page:
    """What a browser at the desk does."""

    def __init__(self, session: aiohttp.ClientSession, address: str, key: str) -> None:
        self._session = session
        self.address = address
        self.key = key
        self.name = "a page"

    async def get(self, path: str) -> tuple[int, Any]:
        return await self._answer("GET", path)

    async def post(self, data: bytes) -> tuple[int, Any]:
        return await self._answer("POST", "reply", BytesIO(data))

    async def reply(self, question: str, text: str | None) -> tuple[int, Any]:
        return await self._answer(
            "POST", "reply", json={"page": self.name, "question": question, "text": text}
        )

    async def question(self) -> dict[str, Any]:
        """Return the next question, as soon as there is one."""
        while True:
            status, found = await self.get(f"question?page={self.name}")
            assert status == 200, found
            if found["question"] is not None:
                return found["question"]
            await asyncio.sleep(0.01)

    async def _answer(
        self, method: str, path: str, data: BytesIO | None = None, json: Any = None
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.key}"}
        address = self.address + path
        async with self._session.request(
            method, address, headers=headers, data=data, json=json
        ) as found:
            return found.status, await found.json()


@asynccontextmanager
async def opened(**settings: Any) -> AsyncGenerator[tuple[Engine, Page]]:
    """Give a desk and a page of it."""
    async with Human(**settings).open(Path()) as engine, aiohttp.ClientSession() as session:
        assert isinstance(engine, Greeting)
        address, _, key = engine.greeting.removeprefix("people answer at ").partition("#")
        yield engine, Page(session, address, key)


def at_desk(scene: Callable[[Engine, Page], Coroutine[Any, Any, T]], **settings: Any) -> T:
    """Return what comes of a scene at a desk."""

    async def played() -> T:
        async with opened(**settings) as (engine, page):
            return await scene(engine, page)

    return asyncio.run(played())
