"""A linear layer with a LoRA adapter: three products forward, five backward, and nothing between.

PEFT adds what the layer and its adapter say in the adapter's float32, on copies of all that passes
through.  Here the adapter's numbers are rounded to what the layer computes in, which is how vLLM
speaks with them, its sums go into the layer's own output, and what is kept for the gradients is the
input, which other layers share, and the few numbers of the rank.  Adapters stay float32 in memory,
and so do their gradients.  Prior art: Unsloth's fused layers.

Shapes: M tokens, I inputs, O outputs, R the rank.
"""

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def fuse(model: nn.Module) -> None:
    """Have the plain LoRA layers of a PEFT `model` compute so, for as long as they are in it."""
    for module in model.modules():
        if _plain(module):
            module.forward = MethodType(_forward, module)


def _plain(module: Any) -> bool:
    """Return whether it is a linear layer with an adapter and nothing else: no dropout, no DoRA."""
    if type(module) is not Linear or type(module.base_layer) is not nn.Linear:
        return False
    drops = any(not isinstance(one, nn.Identity) for one in module.lora_dropout.values())
    biased = any("bias" in dict(one.named_parameters()) for one in module.lora_B.values())
    return not (drops or biased or module.lora_variant)


def _forward(layer: Any, hidden: Tensor) -> Tensor:
    base = layer.base_layer
    if layer.disable_adapters or layer.merged:
        return base(hidden)
    (name,) = layer.active_adapters
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    found = _Adapted.apply(hidden, base.weight, base.bias, down, up, layer.scaling[name])
    assert isinstance(found, Tensor)
    return found.view(*hidden.shape[:-1], -1)  # not within: nobody may write into such a view


class _Adapted(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        down: Tensor,
        up: Tensor,
        scale: float,
    ) -> Tensor:
        """Return (M, O) for (..., I) `hidden` of M tokens.

        Args:
            ctx: torch's.
            hidden: (..., I).
            weight: (O, I) of the frozen layer.
            bias: (O,) of the frozen layer, if it has one.
            down: (R, I).
            up: (O, R).
            scale: what the adapter's sums are multiplied by.
        """
        flat, (down, up) = hidden.flatten(0, -2), (t.to(hidden.dtype) for t in (down, up))
        low = flat @ down.T
        out = nn.functional.linear(flat, weight, bias).addmm_(low, up.T, alpha=scale)
        ctx.save_for_backward(flat, weight, low, down, up)
        ctx.scale, ctx.shape = scale, hidden.shape
        return out

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor
    ) -> tuple[Tensor | None, ...]:
        flat, weight, low, down, up = ctx.saved_tensors
        grad = grads[0]
        by_low = grad @ up * ctx.scale
        own = None
        if ctx.needs_input_grad[0]:
            own = (grad @ weight).addmm_(by_low, down).view(ctx.shape)
        by_down, by_up = by_low.T @ flat, grad.T @ low * ctx.scale
        return own, None, None, by_down.float(), by_up.float(), None
