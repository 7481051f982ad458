"""A chat-completions server that answers well, once it has misbehaved as it is told to."""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import orjson
from aiohttp import web

from moot.agents.endpoint import PROBE, Endpoint
from moot.agents.engine import Engine, Limits
from moot.agents.limits.gate import Gate
from moot.agents.types import Completion, Message, Request, Sampling

T = TypeVar("T")
PROMPT = (Message("system", "Be brief."), Message("user", "2 + 2?"))
REQUEST = Request(PROMPT, Sampling(temperature=0.5, max_tokens=9), seed=2**62 + 7)

Mood = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


def reply(**changes: Any) -> dict[str, Any]:
    """Return a good answer, with what is to be wrong with it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 11, "completion_tokens": 1, "total_tokens": 12}
    return {"id": "1", "model": "m", "choices": [choice], "usage": usage} | changes


def choice(**changes: Any) -> dict[str, Any]:
    return reply()["choices"][0] | changes


def says(body: Any, status: int = 200, **headers: str) -> Mood:
    """Return a mood that answers `body`, as it is where it is bytes."""

    async def mood(request: web.Request) -> web.StreamResponse:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=data, status=status, headers=named)

    return mood


def refuses(status: int, message: str = "no", **headers: str) -> Mood:
    return says({"error": {"message": message, "type": "t"}}, status, **headers)


async def half(request: web.Request) -> web.StreamResponse:
    """Send half of an answer and drop the line."""
    data = orjson.dumps(reply())
    response = web.StreamResponse(headers={"Content-Length": str(len(data))})
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


async def resets(request: web.Request) -> web.StreamResponse:
    """Reset the connection without a word."""
    assert request.transport is not None
    line: socket.socket = request.transport.get_extra_info("socket")
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
    return web.Response()


async def hangs(request: web.Request) -> web.StreamResponse:
    """Say nothing until the other side gives up."""
    await asyncio.Event().wait()
    raise AssertionError


@dataclass
class Fake:
    """A chat-completions server that answers well once its moods are over.

    What a run asks before all else, whether it is let in, has moods of its own and is kept apart.
    """

    moods: list[Mood] = field(default_factory=list[Mood])
    greetings: list[Mood] = field(default_factory=list[Mood])
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    greeted: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    port: int = 0
    at: str = "/v1"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post(f"{self.at}/chat/completions", self._answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]
        return runner

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        probed = body["messages"][-1]["content"] == PROBE.prompt[-1].content
        asked, moods = (self.greeted, self.greetings) if probed else (self.asked, self.moods)
        asked.append(body)
        self.headers.append(dict(request.headers))
        mood = moods.pop(0) if moods else says(reply())
        return await mood(request)


@contextmanager
def serving(fake: Fake) -> Generator[None]:
    """Serve in a thread of its own, while the test's thread runs `moot`."""
    loop, ready = asyncio.new_event_loop(), threading.Event()

    def serve() -> None:
        runner = loop.run_until_complete(fake.start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def play(fake: Fake, part: Callable[[Engine], Coroutine[Any, Any, T]], **settings: Any) -> T:
    """Return what `part` makes of an engine attached to the fake server."""

    async def scene() -> T:
        async with AsyncExitStack() as stack:
            stack.push_async_callback((await fake.start()).cleanup)
            endpoint = Endpoint(url=fake.url, model="m", **settings)
            return await part(await stack.enter_async_context(endpoint.open(Path())))

    return asyncio.run(scene())


def ask(*moods: Mood, request: Request = REQUEST, **settings: Any) -> Completion:
    return play(Fake(list(moods)), lambda engine: engine.generate(request), **settings)


def gated(engine: Engine, **limits: Any) -> Gate:
    async def at_once(seconds: float) -> None:
        await asyncio.sleep(0)

    settled = Limits(**limits)
    limit = settled.deadline_s(600)
    return Gate("far", engine, settled, random.Random(0), at_once, deadline_s=limit)
