"""Where the stand-in passes for vLLM, and what processes there are."""

import asyncio
import os
import random
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pytest

from moot.agents.engine import Engine, Limits
from moot.agents.limits.gate import Gate
from moot.agents.serving.server import Server
from moot.agents.serving.vllm import VLLM
from moot.agents.types import Completion, Message, Request, Sampling, Weights
from moot.agents.wire import Wire, connect

T = TypeVar("T")
STAND_IN = Path(__file__).with_name("fake_vllm.py")
SUM = "What is 3 + 4? Reply with only the number."


def request(text: str, version: int = 0, weights: str | None = None, seed: int = 5) -> Request:
    sampling = Sampling(temperature=0.7, max_tokens=12)
    return Request((Message("user", text),), sampling, seed, weights, version)


def adapter(folder: Path, name: str = "pupil", version: int = 1, path: str = "") -> Weights:
    """Return weights in an empty folder, which the stand-in takes for an adapter."""
    place = folder / (path or f"{name}-{version}")
    place.mkdir(exist_ok=True)
    return Weights(name, version, place)


def descendants(pid: int) -> set[int]:
    """Return the processes below `pid`, those that have ended excepted."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            parents[int(stat.parent.name)] = int(parent)
    found: set[int] = set()
    while new := {p for p, parent in parents.items() if parent in found | {pid}} - found:
        found |= new
    return found


def running(pids: set[int]) -> set[int]:
    """Return which of these processes run still."""
    return pids & descendants(0)


def servers() -> set[int]:
    """Return the vLLM servers, stand-ins or real ones, that run below this process."""
    return {pid for pid in descendants(os.getpid()) if is_server(pid)}


def is_server(pid: int) -> bool:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False
    return b"vllm.entrypoints" in line and b"supervisor" not in line


@dataclass
class Site:
    """A place where the stand-in passes for vLLM."""

    folder: Path

    def play(
        self, part: Callable[[Engine], Coroutine[Any, Any, T]], adapters: int = 4, **settings: Any
    ) -> T:
        """Return what `part` makes of an engine with these settings and room for adapters."""

        async def scene() -> T:
            named: dict[str, Any] = {"model": str(self.folder / "model")} | settings
            async with VLLM(**named).open(self.folder, adapters) as engine:
                return await part(engine)

        return asyncio.run(scene())

    def gated(self, part: Callable[[Engine, Gate], Coroutine[Any, Any, T]], **settings: Any) -> T:
        """Return what `part` makes of an engine that has `trouble`, and of its gate."""
        troubled = ("--trouble", str(self.folder / "trouble"), *settings.pop("arguments", ()))
        limits = settings.setdefault("limits", Limits())

        async def scene(engine: Engine) -> T:
            async def soon(seconds: float) -> None:
                await asyncio.sleep(min(seconds, 0.02))

            return await part(engine, Gate("main", engine, limits, random.Random(0), soon))

        return self.play(scene, arguments=troubled, **settings)

    def trouble(self, *moods: str) -> None:
        """Have the next requests end so, one after the other."""
        for i, mood in enumerate(moods):
            (self.folder / "trouble" / f"{i:03d}-{mood}").touch()

    def hears(self, text: str = "hello", **settings: Any) -> dict[str, Any]:
        """Return what a server was asked, was started with and finds around it."""
        return heard(self.play(lambda engine: engine.generate(request(text)), **settings))


@asynccontextmanager
async def elsewhere(
    folder: Path, *arguments: str, port: int = 0
) -> AsyncGenerator[tuple[Wire, Server]]:
    """Give the line to a server that somebody else runs, and its process; port 0 is a free one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = port or free.getsockname()[1]
    command = (sys.executable, str(STAND_IN), "--enable-lora", "--port", str(port), *arguments)
    server = Server("fake", command, dict(os.environ), folder / "log")
    async with AsyncExitStack() as stack:
        wire = await stack.enter_async_context(connect(f"http://127.0.0.1:{port}"))
        stack.push_async_callback(server.stop)
        await server.start(lambda: wire.get("/health"), within_s=20)
        yield wire, server


def heard(completion: Completion) -> dict[str, Any]:
    return orjson.loads(completion.text)


def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Return a place where `vllm` is the stand-in, in this process and those it starts."""
    module = tmp_path / "vllm" / "entrypoints" / "openai" / "api_server.py"
    module.parent.mkdir(parents=True)
    module.write_bytes(STAND_IN.read_bytes())
    for folder in module.parents[:3]:
        (folder / "__init__.py").touch()
    install(tmp_path, "0.32.0+cpu")
    (tmp_path / "model").mkdir()
    (tmp_path / "trouble").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "model.safetensors").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Site(tmp_path)


def install(folder: Path, version: str) -> None:
    about = folder / "vllm-0.dist-info" / "METADATA"
    about.parent.mkdir(exist_ok=True)
    about.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")
