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


def keepers(model: nn.Module) -> list[nn.Module]:
    """Return the parts of layers of `model` that keep a state, and go by a tree."""
    return [module for module in model.modules() if "sight" in vars(module)]


def follow(model: nn.Module) -> None:
    """Have the parts of `model` that keep a state go by a tree, wherever their layer is told one.

    Layers give them a part of what they are told themselves; so each is told as it begins, also
    where it begins again, to be computed a second time.
    """
    for layer in list(model.modules()):
        kept: dict[Any, str] = {
            child: name for child in layer.children() if (name := _cache(child))
        }
        for module, cache in kept.items():
            module.sight = None
            module.forward = partial(_read, module, module.forward, cache)
        if kept:
            layer.forward = partial(_telling, [*kept], layer.forward)


def _cache(module: nn.Module) -> str:
    """Return what the part of a layer that keeps a state calls its cache; of others nothing.

    A short convolution tells it.
    """
    convolves = any(isinstance(child, nn.Conv1d) for child in module.children())
    if not convolves or not hasattr(module, "layer_idx"):
        return ""
    told = signature(type(module).forward).parameters
    return next((name for name in ("cache_params", "past_key_values") if name in told), "")


def _telling(kept: Sequence[Any], forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what a layer makes of its arguments, its parts having been told of a tree in them."""
    for module in kept:
        module.sight = kwargs.get("sight")
    try:
        return forward(*args, **kwargs)
    finally:
        for module in kept:
            module.sight = None


def _read(
    module: Any,
    forward: Callable[..., Tensor],
    cache: str,
    hidden_states: Tensor,
    *args: Any,
    **kwargs: Any,
) -> Tensor:
    """Return (1, M, E) what the module makes of (1, M, E) hidden states of the tree's tokens."""
    sight: Sight | None = module.sight
    if sight is None:
        return forward(hidden_states, *args, **kwargs)
    sight.readers.add(id(module))
    turns, taken = sight.turns
    known: dict[int, Memory] = {}
    found: list[Tensor] = []
    for turn in turns:
        memory = Memory.joined([known[n] for n in turn.after])
        # Gathered as embeddings are: their gradients are added in one order, however many meet.
        some = F.embedding(turn.places, hidden_states[0])
        found.append(forward(some, **{cache: memory}).flatten(0, 1))
        known |= {number: memory.of(n) for n, number in enumerate(turn.numbers)}
    if sight.handed_on is not None:
        sight.handed_on.extend(state for memory in known.values() for state in memory.all())
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
        if not some:
            return cls({}, {})
        conv, recurrent = (
            {i: torch.cat([states[i] for states in kind]) for i in kind[0]}
            for kind in zip(*((one.conv_states, one.recurrent_states) for one in some), strict=True)
        )
        return cls(conv, recurrent)

    def of(self, n: int) -> Self:
        """Return those of the sequence of that number alone."""
        kinds = self.conv_states, self.recurrent_states
        return type(self)(*({i: s[n : n + 1] for i, s in kind.items()} for kind in kinds))

    def all(self) -> list[Tensor]:
        """Return each of them."""
        return [*self.conv_states.values(), *self.recurrent_states.values()]

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
        self, new: Tensor, layer_idx: int, state_idx: int = 0, *, conv_kernel_size: int
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
