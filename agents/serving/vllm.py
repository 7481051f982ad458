"""vLLM: the engine for real runs; a server that we start and stop, or one that runs already."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from ..address import Url
from ..beside import ModelName
from ..engine import BATCHES, SERVER_S, Engine, Limits
from ..gpus import Gpus
from ..price import Price
from ..types import Dtype, OneOrMore, Precision, Settings, on_this_machine

if TYPE_CHECKING:
    from .life import Endurance
    from .served import Served
    from .server import Server


MOST = 16
"""So many adapters may speak in one batch where nothing is set."""
PARALLEL = re.compile(
    r"(?<!\S)(?:--(?:tensor|pipeline|data)[-_]parallel[-_]size|-(?:tp|pp|dp))[ =](\d+)"
)
"""What in `arguments` multiplies the GPUs of a server."""


class VLLM(Settings):
    """A vLLM server: started for the run and stopped with it, or attached to by `url`."""

    kind: Literal["vllm"] = "vllm"
    model: ModelName | None = None
    """A name that `moot models` lists, a folder, or a hub id; needed unless `url` is given."""
    url: OneOrMore[Url] | None = None
    """A running server's base URL, or those of several that serve the same model; settings for a
    started server are then not used. One below a path with a version of its own ends in /v1."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Where the started server listens, on this machine only; further replicas use the ports after
    it. A free port if left out."""
    dtype: Dtype = "auto"
    """`auto` is the model's own on a GPU, and float32 on the CPU."""
    max_model_len: int = Field(default=2048, ge=16)
    """The most tokens of prompt and completion together."""
    max_loras: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = "auto"
    """How many adapters may speak in one batch; further ones take turns. `auto` is as many as learn
    on this engine, at most 16, since each takes some of the GPU's memory. Where none learns, the
    server is started without room for any, whatever is set."""
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256, 512] = 32
    """The largest rank of an adapter."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    """The share of the GPU's memory that the server takes."""
    kv_cache_gib: int = Field(default=2, ge=1)
    """Memory for the KV cache if there is no GPU, in GiB."""
    replicas: int = Field(default=1, ge=1, le=64)
    """How many such servers are started. On GPUs each gets as many as `--tensor-parallel-size` (and
    pipeline, and data) in `arguments` says; on a CPU each gets its share of the cores."""
    gpus: Gpus | None = None
    """Which GPUs the started servers get, by number from 0: as many as they take, the first
    server's first. Left out: the first ones."""
    sleep: bool = False
    """Whether the started server leaves its GPU's memory to training between talks."""
    arguments: tuple[str, ...] = ()
    """Further arguments for the server, as in vLLM's documentation."""
    start_s: float = Field(default=300.0, gt=0)
    """How long a server may take to become ready, or a running one to say what it serves."""
    restarts: int = Field(default=20, ge=0)
    """How often in one run a started server is restarted after it died, or hung for
    `limits.timeout_s`. It is given up sooner if it answers nothing between its deaths."""
    limits: Limits = Limits()
    """How hard it may be driven, and how patiently."""
    price: Price | None = None
    """What its tokens cost; left out: nothing is said of cost."""

    @model_validator(mode="after")
    def _names_what_speaks(self) -> "VLLM":
        if self.model is None and self.url is None:
            raise ValueError("expected `model` (a server is started) or `url` (one runs already)")
        if self.port is not None and self.port + self.replicas > 2**16:
            raise ValueError(f"no room for {self.replicas} replicas from port {self.port} on")
        if self.url is not None:
            self.refuse("gpus", where="with `url`: a server that runs has its GPUs")
        elif self.gpus is not None and len(self.gpus) != self.takes:
            raise ValueError(
                f"expected {self.takes} GPUs in `gpus`, for {self.replicas} servers of "
                f"{self.each} each, got {len(self.gpus)}"
            )
        return self

    @property
    def trains(self) -> str | None:
        """The model; an attached server can be trained where it is named."""
        return self.model

    @property
    def precision(self) -> Precision | None:
        """As set, or what this machine comes to; of a server elsewhere that isn't known."""
        if any("bitsandbytes" in argument for argument in self.arguments):
            return "nf4"
        return None if self.url and self.dtype == "auto" else on_this_machine(self.dtype)

    @property
    def deadline_s(self) -> float | None:
        """None at the gate: it is kept where a call begins, after what a start takes."""
        return None

    @property
    def varies(self) -> str:
        """A server batches, and rounds by the batch."""
        return BATCHES

    @property
    def each(self) -> int:
        """How many GPUs a server takes, where there are GPUs."""
        return prod(map(int, PARALLEL.findall(" ".join(self.arguments))))

    @property
    def takes(self) -> int:
        """How many all its servers take."""
        return self.replicas * self.each

    def places(self, adapters: int) -> int:
        """Return how many of so many adapters may speak in one batch."""
        return min(adapters, MOST) if self.max_loras == "auto" else self.max_loras

    @asynccontextmanager
    async def open(self, logs: Path, adapters: int = 0) -> AsyncGenerator[Engine]:
        """Start servers, or attach to some, and give them as one; stop what was started after."""
        from .fleet import Fleet

        async with AsyncExitStack() as stack:
            servers = [
                await stack.enter_async_context(one) for one in self._servers(logs, adapters)
            ]
            # All are begun before one is waited for.
            await asyncio.gather(*(one.serving() for one in servers))
            yield servers[0] if len(servers) == 1 else Fleet(servers)

    def _servers(self, logs: Path, adapters: int) -> "list[AbstractAsyncContextManager[Served]]":
        """Return what gives each server when it is entered, and ends it after."""
        from ..weights.models import here, locate
        from .command import free_ports, server
        from .life import Endurance

        limit = self.limits.deadline_s(SERVER_S)
        endurance = Endurance(self.start_s, limit, self.restarts)
        if self.url is not None:
            base = here(self.model) if self.model else None
            urls = self.url if isinstance(self.url, tuple) else (self.url,)
            return [_lasting(url, None, endurance, base) for url in urls]
        model, ports = locate(self.model or ""), free_ports(self.port, self.replicas)
        endurance = replace(endurance, sleep=self.sleep)
        return [
            _lasting(
                f"http://127.0.0.1:{port}",
                server(self, model, ports, logs, i, adapters=adapters),
                endurance,
                model,
            )
            for i, port in enumerate(ports)
        ]


@asynccontextmanager
async def _lasting(
    url: str, server: "Server | None", endurance: "Endurance", base: Path | None
) -> "AsyncGenerator[Served]":
    """Give what is served at `url`, and close it after."""
    from ..wire import connect
    from .served import Served

    async with connect(url) as wire:
        engine = Served(wire, server, endurance, base)
        try:
            yield engine
        finally:
            await engine.close()
