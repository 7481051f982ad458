"""Layers that keep a state of what they have read (Mamba, Gated DeltaNet), over a prefix tree.

They are transformers' own.  Where there is a tree they are called once for each of its turns
(`stretches`), as if each token sequence went on from what is in a cache; in place of the cache they
are given the states that they had where the stretch begins, gradients included.

Shapes: M tokens of the tree, E width of the model, B stretches, L tokens of the longest.
"""

from collections.abc import Callable, Sequence
from functools import partial
from inspect import signature
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .sight import Sight


def among(model: nn.Module) -> bool:
    """Return whether some of the layers of `model` keep a state."""
    return any(map(_keeps, model.modules()))


def follow(model: nn.Module) -> None:
    """Have the parts of `model` that keep a state go by a tree, wherever their layer is told one.

    Layers give them a part of what they are told themselves; so each is told before it begins, also
    where it begins again, to be computed a second time.
    """
    for layer in list(model.modules()):
        kept = [child for child in layer.children() if _keeps(child)]
        for module in kept:
            module.forward = partial(_read, module, module.forward)
        if kept:
            layer.register_forward_pre_hook(partial(_told, kept), with_kwargs=True)


def _keeps(module: nn.Module) -> bool:
    """Return whether `module` is a layer's part that keeps a state: a short convolution tells."""
    convolves = any(isinstance(child, nn.Conv1d) for child in module.children())
    return convolves and hasattr(module, "layer_idx")


def _told(kept: Sequence[Any], _layer: nn.Module, _args: object, kwargs: dict[str, Any]) -> None:
    for module in kept:
        module.sight = kwargs.get("sight")


def _read(
    module: Any, forward: Callable[..., Tensor], hidden_states: Tensor, *args: Any, **kwargs: Any
) -> Tensor:
    """Return (1, M, E) what the module makes of (1, M, E) hidden states of the tree's tokens."""
    sight: Sight | None = vars(module).pop("sight", None)
    if sight is None:
        return forward(hidden_states, *args, **kwargs)
    sight.readers.add(module.layer_idx)
    cache = {"cache_params", "past_key_values"} & {*signature(forward).parameters}
    turns, taken = sight.turns
    known: dict[int, Memory] = {}
    found: list[Tensor] = []
    for turn in turns:
        memory = Memory.joined([known[n] for n in turn.after])
        # Gathered as embeddings are: their gradients are added in one order, however many meet.
        some = F.embedding(turn.places, hidden_states[0])
        found.append(forward(some, **dict.fromkeys(cache, memory)).flatten(0, 1))
        known |= {number: memory.of(n) for n, number in enumerate(turn.numbers)}
    return torch.cat(found)[taken][None]


class Memory:
    """The states of B token sequences, as a module reads and writes them in transformers' cache."""

    record_past = True
    """Asked by some before they read a token by itself; they needn't, for none is."""

    def __init__(self, conv: dict[int, Tensor], recurrent: dict[int, Tensor]) -> None:
        self.conv_states, self.recurrent_states = conv, recurrent
        self._begun = bool(conv)

    @classmethod
    def joined(cls, some: Sequence[Self]) -> Self:
        """Return those of one after the other; of none: they begin."""
        kinds = [(m.conv_states, m.recurrent_states) for m in some]
        if not kinds:
            return cls({}, {})
        conv, recurrent = (
            {i: torch.cat([states[i] for states in kind]) for i in kind[0]}
            for kind in zip(*kinds, strict=True)
        )
        return cls(conv, recurrent)

    def of(self, n: int) -> Self:
        """Return those of the sequence of that number alone."""
        kinds = self.conv_states, self.recurrent_states
        return type(self)(*({i: s[n : n + 1] for i, s in kind.items()} for kind in kinds))

    @property
    def layers(self) -> Self:
        """Itself, whatever the layer."""
        return self

    def __getitem__(self, _layer: int) -> Self:
        return self

    def has_previous_state(self, *_args: object, **_kwargs: object) -> bool:
        """Return whether these go on from what was read."""
        return self._begun

    def update_conv_state(
        self,
        new: Tensor,
        layer_idx: int,
        state_idx: int = 0,
        *,
        conv_kernel_size: int,
    ) -> Tensor:
        """Return what the convolution goes over, and keep as much of it as reaches further."""
        whole = torch.cat([self.conv_states[state_idx], new], -1) if self._begun else new
        missing = max(conv_kernel_size - whole.shape[-1], 0)
        self.conv_states[state_idx] = F.pad(whole, (missing, 0))[..., -conv_kernel_size:]
        return whole

    def update_recurrent_state(self, new: Tensor, layer_idx: int, state_idx: int = 0) -> Tensor:
        """Keep the state that the sequences end with."""
        self.recurrent_states[state_idx] = new
        return new
