"""A model that no device holds whole: FSDP2 divides its tensors over the processes.

Each layer's weights are gathered when their turn comes and let go after; gradients and the
optimiser's state stay divided.  What is put into the model later, an adapter or a head, is small
and is not divided (see `world.add`).

The process that leads reads a model, and has it whole in the machine's memory; the others get a
layer of it at a time, and keep their share.
"""

from collections.abc import Iterable, Mapping
from copy import deepcopy
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

from moot.agents.errors import MootError

from .. import world
from .forward import score


def emptied(model: nn.Module) -> tuple[Any, dict[str, Tensor]]:
    """Return a `model` whose tensors have no numbers, and these by name, tied ones once."""
    numbers: dict[str, Tensor] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    bare = {id(t): _like(t, torch.empty_like(t, device="meta")) for t in numbers.values()}
    return deepcopy(model, bare), numbers


def _like(tensor: Tensor, other: Tensor) -> Tensor:
    """Return the `other` as a parameter if the `tensor` is one."""
    return nn.Parameter(other, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else other


def shard(
    model: Any, numbers: dict[str, Tensor], device: torch.device, computes: torch.dtype
) -> None:
    """Divide the tensors of a transformers `model` over the processes, onto their devices.

    They are rounded to what it computes in as they are gathered, and stay divided as they are.  Its
    method `scored`, which is `forward.score` of it, is then the way through it.

    Args:
        model: as `emptied` returned it.
        numbers: its tensors, in the process that leads; each is taken out as it is handed on.
        device: what the model is to be on.
        computes: what it computes in.

    Raises:
        MootError: its layers share weights.
    """
    layers: set[str] = set(model._no_split_modules or ())
    options: dict[str, Any] = {
        "mesh": init_device_mesh(device.type, (world.size(),)),
        "reshard_after_forward": True,  # a look has no backward pass after which to let go
        "mp_policy": MixedPrecisionPolicy(
            param_dtype=computes, reduce_dtype=torch.float32, cast_forward_inputs=False
        ),
    }
    filled: dict[Tensor, Tensor] = {}
    within: set[nn.Module] = set()
    for name, module in list(model.named_modules()):
        if type(module).__name__ in layers and module not in within:
            if filled.keys() & set(module.parameters()):
                raise MootError("fit.shard: layers that share weights can't be divided")
            _fill(module, name, numbers, device, filled)
            fully_shard(module, **options)
            within.update(module.modules())
    _fill(model, "", numbers, device, filled)
    fully_shard(model, **options)
    for module in model.modules():
        if isinstance(module, FSDPModule):  # the sum of the gradients, and not their mean
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    model.scored = MethodType(score, model)
    register_fsdp_forward_method(model, "scored")


def _fill(
    module: nn.Module,
    path: str,
    numbers: dict[str, Tensor],
    device: torch.device,
    filled: dict[Tensor, Tensor],
) -> None:
    """Give those of a module's tensors their numbers that have none yet; tied ones stay tied."""
    every: Any = {"recurse": False, "remove_duplicate": False}
    for prefix, part in module.named_modules(prefix=path):
        for name, bare in [*part.named_parameters(**every), *part.named_buffers(**every)]:
            if not bare.is_meta:
                continue
            if bare not in filled:
                mine = numbers.pop(f"{prefix}.{name}".lstrip("."), None)
                filled[bare] = _like(bare, world.sent(mine, bare, device))
            setattr(part, name, filled[bare])


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor that may be divided; all processes must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own(tensor: Tensor, like: Tensor) -> Tensor:
    """Return this process's share of a whole `tensor`, divided as `like` is, if it is."""
    if not isinstance(like, DTensor):
        return tensor
    there = tensor.to(like.device)
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)


def handed(tensor: Tensor | None, like: Tensor) -> Tensor:
    """Return this process's share of what the one that leads has; the others have none."""
    return own(world.sent(tensor, like, like.device), like)


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
