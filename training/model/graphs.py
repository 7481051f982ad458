"""The forward and backward pass of a tree as CUDA graphs: launched at once, not kernel by kernel.

A step of a small model is thousands of kernels that take less time than their launches do.  A graph
is recorded once for the trees of a size, and launched as one.  So trees are padded to one of a few
sizes, by tokens that see nothing but themselves and that nobody sees; the numbers stay those of the
same kernels.  So far this has run with a stand-in for a GPU's recorder alone: tests/test_graphs.py.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from moot.agents.errors import MootError, in_one_line

from ..settings import Fit
from . import sharding
from .forward import form, run, states
from .sight import BLOCK, Sight
from .types import Rows

OFTEN = 4
"""A size is recorded when so many trees of it came: recording takes as long as some passes."""
EIGHTHS = 8
"""Sizes between a power of two and the next, where that is more than a block of attention each."""


def recordable(fit: Fit, model: Any) -> bool:
    """Return whether the passes of `model` can be recorded, and are to be.

    Only where an adapter learns: a graph keeps gradients of its own for all that does.
    """
    wanted = fit.graphs and fit.lora is not None and not fit.recompute
    whole = form(model) == "tree" and not sharding.divided(model.parameters())
    return wanted and whole and model.device.type == "cuda"


class Graphs:
    """`forward.states` of one model whose adapter alone learns; recorded where it pays."""

    def __init__(self, *, learns: bool) -> None:
        """Begin with nothing recorded.

        Args:
            learns: whether there is a backward pass.
        """
        self._learns = learns
        self._seen: Counter[int] = Counter()
        self._recorded: dict[int, Callable[..., Tensor]] = {}
        self._pool: Any = None
        self._hooks: list[RemovableHandle] = []

    def __call__(self, model: Any, rows: Rows) -> Tensor:
        """Return the (M, E) last hidden states of the tree's tokens.

        They are overwritten by the next call: what is to be kept of them must be a copy.  No pass
        before may wait for its backward pass: recording wants none of its nodes to be alive.

        Raises:
            MootError: it can't be recorded.
        """
        size = padded(len(rows.tokens))
        self._seen[size] += 1
        if self._seen[size] < OFTEN:
            return states(model, rows)
        inputs = _padded(rows, size)
        if size not in self._recorded:
            try:
                self._recorded[size] = self._record(model, inputs)
            except torch.OutOfMemoryError:
                raise  # room for it may be made
            except RuntimeError as error:  # CUDA is in no state to go on in this process
                raise MootError(
                    f"fit.graphs: a pass can't be recorded here ({in_one_line(error)}): go on with "
                    "`graphs: false`"
                ) from error
            self._hook(model)
        return self._recorded[size](*inputs)[: len(rows.tokens)]

    def close(self) -> None:
        """Forget what was recorded: the model changes."""
        self._unhook()
        self._recorded.clear()
        self._seen.clear()

    def _record(self, model: Any, inputs: tuple[Tensor, ...]) -> Callable[..., Tensor]:
        self._unhook()
        # The parameters' nodes are of the stream that records for as long as its graphs are kept.
        torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        static = tuple(t.clone() for t in inputs)
        with torch.set_grad_enabled(self._learns):
            recorded: Any = torch.cuda.make_graphed_callables(
                _Pass(model), static, allow_unused_input=True, pool=self._pool
            )
        return recorded

    def _hook(self, model: Any) -> None:
        """Have gradients copied: a graph's lie where its next launch puts the next ones."""
        learning = [p for p in model.parameters() if p.requires_grad and self._learns]
        self._hooks = [p.register_hook(torch.clone) for p in learning]

    def _unhook(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []


class _Pass(nn.Module):
    """A forward pass whose inputs are tensors of a fixed size."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, position: Tensor, last: Tensor) -> Tensor:
        return run(self.model, tokens, Sight(position, last))


def padded(tokens: int) -> int:
    """Return the size that a tree of so many tokens is padded to."""
    unit = max(BLOCK, 2 ** (tokens.bit_length() - 1) // EIGHTHS)
    return -(-tokens // unit) * unit


def _padded(rows: Rows, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return (size,) the tokens, their positions, and one past the last that follows each."""
    length = len(rows.tokens)
    sight = Sight.of(rows.nodes, rows.position)
    alone = torch.arange(length + 1, size + 1, device=rows.tokens.device)
    zeros = torch.zeros_like(alone)
    return (
        torch.cat([rows.tokens, zeros]),
        torch.cat([rows.position, zeros]),
        torch.cat([sight.last, alone]),
    )
