"""A model that no device holds whole: FSDP2 divides its tensors over the processes.

Each layer's weights are gathered when their turn comes and let go after; gradients and the
optimiser's state stay divided.  What is put into the model later, an adapter or a head, is small
and is not divided (see `world.add`).
"""

from collections.abc import Iterable, Mapping
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import (
    FSDPModule,
    MixedPrecisionPolicy,
    fully_shard,
    register_fsdp_forward_method,
)
from torch.distributed.tensor import DTensor, distribute_tensor

from .. import world
from .forward import score


def shard(model: Any, device: torch.device, computes: torch.dtype) -> None:
    """Divide the tensors of a transformers `model` over the processes, onto their devices.

    They are rounded to what it computes in as they are gathered, and stay divided as they are.  Its
    method `scored`, which is `forward.score` of it, is then the way through it.
    """
    layers: set[str] = set(model._no_split_modules or ())
    options: dict[str, Any] = {
        "mesh": init_device_mesh(device.type, (world.size(),)),
        "reshard_after_forward": True,  # a look has no backward pass after which to let go
        "mp_policy": MixedPrecisionPolicy(
            param_dtype=computes, reduce_dtype=torch.float32, cast_forward_inputs=False
        ),
    }
    for module in list(model.modules()):
        if type(module).__name__ in layers:
            fully_shard(module, **options)
    fully_shard(model, **options)
    for module in model.modules():
        if isinstance(module, FSDPModule):  # the sum of the gradients, and not their mean
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    model.scored = MethodType(score, model)
    register_fsdp_forward_method(model, "scored")


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor that may be divided; all processes must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own(tensor: Tensor, like: Tensor) -> Tensor:
    """Return this process's share of a whole `tensor`, divided as `like` is, if it is."""
    if not isinstance(like, DTensor) or isinstance(tensor, DTensor):
        return tensor
    there = tensor.to(like.device)
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)


def collected(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whole, on the CPU, in the process that leads; all processes must ask."""
    found: dict[int, Tensor] = {}  # tied tensors stay tied
    for tensor in tensors.values():
        if id(tensor) not in found:
            full = whole(tensor.detach())
            found[id(tensor)] = full.cpu() if world.leads() else tensor
    return {n: found[id(t)] for n, t in tensors.items()} if world.leads() else {}


def divided(tensors: Iterable[Tensor]) -> bool:
    """Return whether any of them is."""
    return any(isinstance(tensor, DTensor) for tensor in tensors)


def groups(parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
    """Return the parameters as an optimiser takes them: divided ones apart from whole ones."""
    apart: dict[bool, list[nn.Parameter]] = {}
    for parameter in parameters:
        apart.setdefault(isinstance(parameter, DTensor), []).append(parameter)
    return [{"params": some} for some in apart.values()]
