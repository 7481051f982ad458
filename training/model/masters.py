"""All of a model's weights in float32, beside a model that computes in fewer bits.

Numbers of bfloat16 lie a 256th of themselves apart, and steps of a millionth are lost in them.  So
what learns is a copy in float32: gradients are added up in it, the optimiser moves it, and the
model's own weights are the copy rounded (Micikevicius et al., 2018, arXiv:1710.03740), as they are
in an engine that serves it.
"""

from collections.abc import ItemsView, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


class Masters:
    """The float32 copy of what learns in a model."""

    def __init__(self, model: Any) -> None:
        """Copy the weights of `model`, whose gradients come here from now on."""
        self._model = model
        self._own: dict[str, nn.Parameter] = {}  # by the model's names; tied ones once
        for name, parameter in model.named_parameters():
            own = nn.Parameter(parameter.detach().to(torch.float32, copy=True))
            parameter.register_post_accumulate_grad_hook(partial(_collect, own))
            self._own[name] = own

    def named_parameters(self) -> ItemsView[str, nn.Parameter]:
        """Return what learns, by name."""
        return self._own.items()

    def state(self) -> dict[str, Tensor]:
        """Return all of the model's tensors by name, tied ones more than once, in float32."""
        named = dict(self._model.named_parameters())
        own = {id(named[name]): master.detach() for name, master in self._own.items()}
        there: Mapping[str, Tensor] = self._model.state_dict(keep_vars=True)
        return {name: own.get(id(tensor), tensor.detach()) for name, tensor in there.items()}

    def round(self) -> None:
        """Have the model compute with what the copy is now."""
        with torch.no_grad():
            for name, parameter in self._model.named_parameters():
                parameter.copy_(self._own[name])


def _collect(own: nn.Parameter, parameter: Tensor) -> None:
    """Add a pass' gradient to those before it, and let go of it."""
    assert parameter.grad is not None, "the hook is called once there is one"
    gradient = parameter.grad.to(own.dtype)
    own.grad = gradient if own.grad is None else own.grad.add_(gradient)
    parameter.grad = None
