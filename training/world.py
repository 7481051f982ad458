"""The processes of one training: who we are among them, what we take of the work, what we share.

A step's parts are dealt out; each process finds the gradient of its own, divided by the size of the
whole step, and the gradients are summed.  So the result is that of one process, but for the order
in which floats are added.  Without a process group there is one process, and all of this is the
identity.
"""

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from moot.agents.errors import MootError
from moot.agents.types import Device

T = TypeVar("T")
BUCKET = 2**25
"""Numbers that are summed at once."""


def size() -> int:
    """Return how many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return which of them this one is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def leads() -> bool:
    """Return whether this process writes the files."""
    return rank() == 0


@contextmanager
def joined(device: Device) -> Generator[None]:
    """While this lasts, this process is one of those that torchrun started.

    One that fails in it is to end at once.

    Raises:
        MootError: there are GPUs, and fewer than processes.
    """
    found = gpus(device)
    own, everyone = (int(os.environ[key]) for key in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    enough(everyone, found)
    if found:
        torch.cuda.set_device(own)
    dist.init_process_group("cpu:gloo,cuda:nccl" if found else "gloo")
    yield
    dist.destroy_process_group()  # after an error it would wait for those who wait for this one


def gpus(device: Device) -> int:
    """Return how many GPUs a training on `device` may take.

    Raises:
        MootError: it is to be on one, and there is none.
    """
    found = 0 if device == "cpu" else torch.cuda.device_count()
    if device == "cuda" and not found:
        raise MootError("fit.device: cuda, but torch finds no GPU here; auto takes the CPU")
    return found


def enough(processes: int, gpus: int) -> None:
    """Raise where a machine with `gpus` has too few for the `processes`."""
    if 0 < gpus < processes:
        raise MootError(
            f"fit.processes: each takes a GPU, and here are {gpus}; expected at most {gpus}, "
            f"got {processes}"
        )


def there(wanted: Sequence[int] | None, gpus: int) -> None:
    """Raise where a machine with `gpus` lacks one of those that are `wanted`."""
    if wanted is not None and max(wanted) >= gpus:
        raise MootError(f"fit.gpus: {max(wanted)} (from 0) isn't here: torch finds {gpus} GPUs")


def dealt(parts: Sequence[T]) -> Iterator[tuple[int, T, bool]]:
    """Yield this process's parts, where they stand among all, and whether they count.

    Parts hold about as many tokens each, so that they take about as long.  All processes get as
    many, since those of a sharded model go forward and back together: one for which none is left
    gets the last part again, and it doesn't count.
    """
    for start in range(0, len(parts), size()):
        i = start + rank()
        yield min(i, len(parts) - 1), parts[min(i, len(parts) - 1)], i < len(parts)


def gathered(found: Mapping[int, T]) -> list[T]:
    """Return what all processes found, in the order of its places."""
    everything = [found]
    if size() > 1:
        everything: list[Mapping[int, T]] = [{} for _ in range(size())]
        dist.all_gather_object(everything, found)
    merged = {i: value for some in everything for i, value in some.items()}
    return [merged[i] for i in sorted(merged)]


def led(find: Callable[[], T]) -> T:
    """Return in all processes what the one that leads finds, or raise what it raised.

    Raises:
        MootError: as `find` raised it.
    """
    found: dict[int, tuple[T | None, MootError | None]] = {}
    if leads():
        try:
            found[0] = find(), None
        except MootError as error:
            found[0] = None, error
    [(value, error)] = gathered(found)
    if error is not None:
        raise error
    return cast(T, value)


def sent(tensor: Tensor | None, like: Tensor, device: torch.device) -> Tensor:
    """Return in all processes, on their devices, the tensor that the one that leads has.

    Args:
        tensor: what it has; the others have none.
        like: of its shape, and of the dtype that it is to have; it may be divided, or have no data.
        device: what it is to be on.
    """
    if tensor is None:
        assert not leads(), "it has all tensors"
        found = torch.empty(like.shape, dtype=like.dtype, device=device)
    else:
        found = tensor.detach().to(device, like.dtype).contiguous()
    dist.broadcast(found, 0)
    return found


def together() -> None:
    """Return when all processes have come here."""
    if size() > 1:
        gathered({})


def add(parameters: Iterable[nn.Parameter]) -> None:
    """Leave in every process the sum of all processes' gradients.

    Those of sharded parameters are summed as they are found, and left alone.  A parameter that has
    a gradient nowhere has none after.
    """
    if size() == 1:
        return
    plain = [p for p in parameters if not isinstance(p, DTensor)]
    if not plain:
        return
    has = torch.tensor([p.grad is not None for p in plain], dtype=torch.int32)
    dist.all_reduce(has, dist.ReduceOp.MAX)
    some = [p for p, anywhere in zip(plain, has.tolist(), strict=True) if anywhere]
    for bucket in _buckets(some):
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
        flat = torch.cat([g.flatten().float() for g in gradients])
        dist.all_reduce(flat)
        pieces = flat.split([g.numel() for g in gradients])
        for parameter, gradient, piece in zip(bucket, gradients, pieces, strict=True):
            parameter.grad = gradient.copy_(piece.view_as(gradient))


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    bucket: list[nn.Parameter] = []
    held = 0
    for parameter in parameters:
        if bucket and held + parameter.numel() > BUCKET:
            yield bucket
            bucket, held = [], 0
        bucket.append(parameter)
        held += parameter.numel()
    if bucket:
        yield bucket


def clip(parameters: Sequence[nn.Parameter], most: float) -> float:
    """Scale the summed gradients so that their norm is at most `most`; return what it was."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    shards = [g.to_local() for g in gradients if isinstance(g, DTensor)]
    if not shards:
        return nn.utils.clip_grad_norm_(parameters, most).item()
    wholes = [g for g in gradients if not isinstance(g, DTensor)]
    square = _square(shards)
    dist.all_reduce(square)
    norm = (square + _square(wholes)).sqrt() if wholes else square.sqrt()
    factor = (most / (norm + 1e-6)).clamp(max=1.0)
    for gradient in (*shards, *wholes):
        gradient.mul_(cast(Any, factor.to(gradient.dtype)))
    return norm.item()


def _square(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([t.float().square().sum() for t in tensors]).sum()
