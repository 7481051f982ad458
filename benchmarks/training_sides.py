"""What training.py measures in one process: the steps, and Moot's side of them.

TRL's environment runs this too, and has no Moot: what is of Moot is imported where it is used.
"""

from __future__ import annotations

import ctypes
import gc
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from training_work import CUDA, DEVICE, Work, work

if TYPE_CHECKING:
    from moot.training.data.examples import Said
    from moot.training.model.types import Rows, Scores

BETA = 0.1
"""DPO's."""
STEPS = {"quick": (1, 1), "cpu": (1, 2), "gpu": (6, 5)}
"""Those that warm up, and those that count in each turn."""


@dataclass(frozen=True)
class Side:
    """A model, and its loss of the work."""

    parameters: Mapping[str, nn.Parameter]
    """What learns."""
    losses: Callable[[], Iterable[Tensor]]
    """Its loss in parts, each to be sent backward before the next is asked for."""
    facts: Mapping[str, float]
    """What else is to be told."""


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
        return partial(_ours, graphs=name == "graphs")
    import training_peers as peers

    return {"padded": peers.padded, "trl": peers.trl, "liger": peers.liger}[name]


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
    places = {
        Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
        for cpu in os.sched_getaffinity(0)
    }
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


def _ours(batch: Work, model: Path, *, graphs: bool = False) -> Side:
    from moot.training.model.architecture import base
    from moot.training.model.learner import Learner
    from moot.training.model.rows import moved, rows
    from moot.training.settings import Fit

    fit = Fit(graphs=graphs)
    learner = Learner(base(model, fit), fit, None, 0, model)
    said, mean = taught(batch)

    def losses() -> Iterator[Tensor]:
        packed = moved(rows(said), learner.device)
        if batch.preferences:
            with torch.no_grad(), learner.anchored():
                packed = replace(packed, anchor=learner.policy(packed).logp)
        yield mean(learner.policy(packed), packed)

    packed, parameters = rows(said), learner.parameters()
    adapters = sum(p.numel() for p in parameters.values())
    facts = {"tree": len(packed.tokens), "flops": _flops(learner.base, adapters, packed)}
    return Side(parameters, losses, facts)


def _flops(model: Any, adapters: int, packed: Rows) -> float:
    """Return the operations that an update on the tree needs: see training.py."""
    config, head = model.config, model.get_output_embeddings().weight
    embeddings = (head, model.get_input_embeddings().weight)
    frozen = sum(
        p.numel()
        for p in model.parameters()
        if p.ndim == 2 and not p.requires_grad and all(p is not e for e in embeddings)
    )
    seen = int((packed.position + 1).sum())
    width = config.num_hidden_layers * config.num_attention_heads * config.head_dim
    linear = (4 * frozen + 6 * adapters) * len(packed.tokens)
    return linear + 4 * head.numel() * len(packed.chosen) + 12 * width * seen


def taught(batch: Work) -> tuple[list[Said], Callable[[Scores, Rows], Tensor]]:
    """Return the rows as Moot knows them, and the mean of its own loss of them."""
    from moot.training.data.examples import Pair, Rollout, Said
    from moot.training.methods.dpo import DPO
    from moot.training.policy_gradient.objective import Objective

    parts = zip(batch.prompts, batch.completions, strict=True)
    said = [Said((), "", tuple(reply), tuple(asked)) for asked, reply in parts]
    half = len(said) // 2
    pairs = [
        Pair("pair", (0, 1), ("a", "b"), (), chosen, rejected)
        for chosen, rejected in zip(said[:half], said[half:], strict=True)
    ]
    rollouts = [
        Rollout("group", i, 1, "a", "w", 0, one, 0.0, advantage)
        for i, (one, advantage) in enumerate(zip(said, batch.advantages, strict=True))
    ]
    dpo, objective = DPO(beta=BETA), Objective(kl=0.0)

    def mean(scores: Scores, packed: Rows) -> Tensor:
        if batch.preferences:
            return dpo.loss(scores, packed, pairs)[0].mean()
        return objective.loss(scores, packed, rollouts)[0].mean()

    return said, mean
