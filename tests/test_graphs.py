"""Graphs, with a recorder that stands in for the GPU's: the same numbers, on padded trees.

tests/test_gpu.py has them on a GPU.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import row_alone
import torch
from torch import Tensor, nn

from moot.agents.errors import MootError
from moot.training.model.attention import KERNEL
from moot.training.model.forward import score, states
from moot.training.model.graphs import OFTEN, Graphs, padded, recordable
from moot.training.model.rows import rows
from moot.training.model.types import Rows
from moot.training.settings import Fit

SIZE = 128
"""What all trees here are padded to."""


class Recorder:
    """Does as CUDA graphs do: inputs, outputs and gradients lie where they lay."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(
        self, module: nn.Module, static: tuple[Tensor, ...], **how: Any
    ) -> Callable[..., Tensor]:
        assert how["allow_unused_input"]
        self.sizes.append(len(static[0]))
        learning = [p for p in module.parameters() if p.requires_grad]
        kept, grads = module(*static).detach(), [torch.zeros_like(p) for p in learning]

        class Replayed(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, *inputs: Tensor) -> Tensor:
                for there, new in zip(static, inputs, strict=False):
                    there.copy_(new)
                with torch.enable_grad():
                    ctx.out = module(*static)
                return kept.copy_(ctx.out.detach()).detach()

            @staticmethod
            def backward(ctx: Any, *grad: Tensor) -> Any:
                found = torch.autograd.grad(ctx.out, learning, grad[0])
                for there, new in zip(grads, found, strict=True):
                    there.copy_(new)
                return (*[None] * len(static), *(g.detach() for g in grads))

        def replay(*inputs: Tensor) -> Tensor:
            found = Replayed.apply(*inputs, *learning)
            assert isinstance(found, Tensor)
            return found

        return replay


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    found = Recorder()
    monkeypatch.setattr(torch.cuda, "make_graphed_callables", found)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: None)
    return found


def batches() -> list[Rows]:
    """Return three trees of different tokens and lengths."""
    return [rows(row_alone.BATCH[i:], probe=row_alone.PROBE) for i in range(3)]


@pytest.mark.parametrize("name", ["llama", "gemma3_text"])
def test_numbers_and_summed_gradients_are_those_of_plain_passes(
    name: str, recorder: Recorder, build_tiny: Any, tmp_path: Path
) -> None:
    folder = build_tiny(tmp_path, architecture=name, **row_alone.ARCHITECTURES[name])
    plain, model = (row_alone.adapted(row_alone.loaded(folder, KERNEL), True) for _ in range(2))
    recorded = Graphs(learns=True)

    for _ in range(OFTEN):  # the same trees until their size is recorded, and once more
        for one in (plain, model):
            one.zero_grad()
        for batch in batches():
            found, expected = (
                score(m, batch, bonus=True, through=through)
                for m, through in ((model, recorded), (plain, states))
            )
            torch.testing.assert_close(found.logp, expected.logp, atol=1e-5, rtol=0)
            forward_sums = [
                row_alone.summed(row_alone.split(s, batch.mask), True) for s in (found, expected)
            ]
            for total in forward_sums:  # gradients of several parts add up
                total.backward()
        named = dict(plain.named_parameters())
        for parameter, other in ((p, named[n]) for n, p in model.named_parameters()):
            if parameter.requires_grad:
                assert other.grad is not None
                torch.testing.assert_close(parameter.grad, other.grad, atol=1e-3, rtol=1e-4)

    assert recorder.sizes == [SIZE]


def test_a_model_that_changes_forgets_what_was_recorded(recorder: Recorder, tiny: Path) -> None:
    model, [batch, *_] = row_alone.adapted(row_alone.loaded(tiny, KERNEL), True), batches()
    recorded = Graphs(learns=True)
    for _ in range(OFTEN):
        score(model, batch, through=recorded).logp.sum().backward()

    recorded.close()

    assert all(not p._backward_hooks for p in model.parameters())
    for _ in range(OFTEN):
        score(model, batch, through=recorded)
    assert recorder.sizes == [SIZE, SIZE]


def test_without_gradients_it_is_the_same_graph(recorder: Recorder, tiny: Path) -> None:
    model, [batch, *_] = row_alone.adapted(row_alone.loaded(tiny, KERNEL), True), batches()
    recorded = Graphs(learns=True)
    with torch.no_grad():
        for _ in range(OFTEN):
            assert not score(model, batch, through=recorded).logp.requires_grad

    score(model, batch, through=recorded).logp.sum().backward()

    assert recorder.sizes == [SIZE]
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_what_cant_be_recorded_says_to_go_on_without(
    recorder: Recorder, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, [batch, *_] = row_alone.adapted(row_alone.loaded(tiny, KERNEL), True), batches()
    recorded = Graphs(learns=True)

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", refuse)
    for _ in range(OFTEN - 1):
        score(model, batch, through=recorded)
    with pytest.raises(MootError, match=r"fit\.graphs: .* \(operation .*: go on with .graphs: fal"):
        score(model, batch, through=recorded)


@pytest.mark.parametrize(
    ("tokens", "size"), [(1, 128), (128, 128), (129, 256), (1025, 1152), (8192, 8192), (8193, 9216)]
)
def test_an_eighth_of_a_large_tree_is_padding_at_most(tokens: int, size: int) -> None:
    assert padded(tokens) == size


def test_only_adapters_on_a_gpu_are_recorded(tiny: Path) -> None:
    model: Any = row_alone.loaded(tiny, KERNEL)
    how = Fit(graphs=True)
    assert not recordable(how, model)

    class OnGPU:
        device = torch.device("cuda")
        parameters, modules, config = model.parameters, model.modules, model.config

    assert recordable(how, OnGPU())
    for otherwise in ({"graphs": False}, {"lora": None}, {"recompute": True}):
        assert not recordable(how.model_copy(update=otherwise), OnGPU())
