"""What training.py measures in one process: the steps of a side, their time and their memory.

TRL's environment runs this too, and has no Moot: what is of Moot is imported where it is used.
"""

from __future__ import annotations

import ctypes
import gc
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from training_ours import ours
from training_peers import liger, padded, trl
from training_work import CUDA, DEVICE, Side, Work, work

STEPS = {"quick": (1, 1), "cpu": (1, 2), "gpu": (6, 5)}
"""Those that warm up, and those that count in each turn."""


def measure(case: str, side: str, model: Path, quick: bool) -> Iterator[dict[str, Any]]:
    """Yield what one side does in this process, turn by turn; it gets ready in the first."""
    torch.set_num_threads(_cores())
    while side == "matmul":
        yield {"flops": _matmul()}
    scale = "quick" if quick else "gpu" if CUDA else "cpu"
    batch, (warm, steps) = work("grpo" if case == "peak" else case, scale), STEPS[scale]
    way = _side(side)(batch, model)
    learning = [way.parameters[name] for name in sorted(way.parameters)]
    draw = torch.Generator().manual_seed(0)
    for parameter in learning:  # PEFT's fresh adapters do nothing
        parameter.data.copy_(0.02 * torch.randn(parameter.shape, generator=draw))
    optimizer = torch.optim.AdamW(learning, lr=1e-6, weight_decay=0.0, fused=True)
    rest, first = _rest(), [_step(way, learning, optimizer) for _ in range(warm)]
    held = _peak() - rest
    while True:
        taken = [_step(way, learning, optimizer) for _ in range(steps)]
        if CUDA:
            torch.cuda.empty_cache()  # the others' turns are in the same memory
        yield {
            "device": str(DEVICE),
            "tokens": batch.tokens,
            "loss": [first[0][1], taken[-1][1]],
            "norm": [first[0][2], taken[-1][2]],
            "seconds": [seconds for seconds, *_ in taken],
            "memory": held if CUDA else _peak() - rest,  # other cases are in the GPU's memory too
            **way.facts,
        }


def _side(name: str) -> Callable[[Work, Path], Side]:
    if name in ("ours", "graphs"):
        return partial(ours, graphs=name == "graphs")
    return {"padded": padded, "trl": trl, "liger": liger}[name]


def _step(
    way: Side, learning: list[nn.Parameter], optimizer: torch.optim.Optimizer
) -> tuple[float, float, float]:
    """Take a step; return how long it took, the loss, and the gradient's norm."""
    start = _now()
    optimizer.zero_grad()
    total = 0.0
    for loss in way.losses():
        loss.backward()
        total += loss.item()
    norm = nn.utils.clip_grad_norm_(learning, 1.0)
    optimizer.step()
    return _now() - start, total, norm.item()


def _now() -> float:
    if CUDA:
        torch.cuda.synchronize()
    return time.perf_counter()


def _cores() -> int:
    """Return how many physical cores we may use, or what OMP_NUM_THREADS says if that is less."""
    cpus = os.sched_getaffinity(0)
    files = [Path(f"/sys/devices/system/cpu/cpu{i}/topology/thread_siblings_list") for i in cpus]
    known = all(file.exists() for file in files)  # sandboxes hide them
    places = {file.read_text() for file in files} if known else cpus
    return min(len(places), int(os.environ.get("OMP_NUM_THREADS", len(places))))


def _rest() -> int:
    """Return the bytes in use, with nothing left over of what was, and forget their peak."""
    gc.collect()
    if CUDA:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return torch.cuda.max_memory_allocated() if CUDA else _status("VmHWM")


def _status(name: str) -> int:
    """Return a number of bytes that Linux knows of this process.

    The peak is getrusage's, but for one thing: it can be forgotten, with what loading took.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def _matmul() -> float:
    """Return the most floating-point operations a second, of six products of square matrices."""
    size, number = (8192, torch.bfloat16) if CUDA else (4096, torch.float32)
    one = torch.randn(size, size, dtype=number, device=DEVICE)
    seconds: list[float] = []
    for _ in range(6):
        start = _now()
        one @ one  # pyright: ignore[reportUnusedExpression]
        seconds.append(_now() - start)
    return 2 * size**3 / min(seconds)
