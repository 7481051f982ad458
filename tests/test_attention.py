"""Attention over a prefix tree: what a softmax under its mask, written out, gives."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from masked_softmax import DEEP, SCALE, Drawn, drawn, sight, written_out
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from moot.training.model.attention import KERNEL, attend
from moot.training.model.sight import Sight

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=9)


def as_layers_ask(inputs: Drawn, seen: Sight, **options: float | Tensor | None) -> Tensor:
    """Return (1, H, M, D) what a layer of transformers is given under our name."""
    call = ALL_ATTENTION_FUNCTIONS[KERNEL]
    out, weights = call(torch.nn.Module(), *inputs, None, scaling=SCALE, sight=seen, **options)
    assert weights is None
    return out.transpose(1, 2)


def close(found: Tensor, expected: Tensor, inputs: tuple[Tensor, ...]) -> None:
    """Check values, and gradients of a sum that weighs every number otherwise."""
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-12)
    by = torch.linspace(-1, 1, found.numel(), dtype=torch.float64).view_as(found)
    gradients = [torch.autograd.grad((out * by).sum(), inputs) for out in (found, expected)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=1e-12)


def test_who_sees_whom_by_hand() -> None:
    # 5 6 7 and 5 6 8 9; then 4: each row's token sees the columns' it follows
    seen = sight([[5, 6, 7], [5, 6, 8, 9], [4]])  # laid out: 4 5 6 7 8 9

    assert seen.mask.int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 1, 1, 1, 0, 0],
        [0, 1, 1, 0, 1, 0],
        [0, 1, 1, 0, 1, 1],
    ]
    assert seen.last.tolist() == [1, 6, 6, 4, 6, 6]
    assert seen.depth == 4


def test_a_window_counts_a_row_s_own_tokens() -> None:
    # Between 8 and its forebear 6 lies 7 in the layout, but in the row 5 6 8 9 they are neighbours.
    seen = sight([[5, 6, 7], [5, 6, 8, 9], [4]])

    assert seen.within(2).int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 0, 0],
        [0, 0, 1, 0, 1, 0],
        [0, 0, 0, 0, 1, 1],
    ]
    assert seen.within(1).equal(torch.eye(6).bool())
    assert seen.within(seen.depth).equal(seen.mask)


def test_it_is_a_masked_softmax_and_so_are_its_gradients() -> None:
    seen = sight(DEEP)
    inputs = drawn(len(seen.position))

    close(attend(*inputs, seen, SCALE), written_out(*inputs, seen.mask), inputs)


@given(SEQUENCES, st.integers(0, 99))
def test_it_is_a_masked_softmax_on_any_tree(sequences: list[list[int]], seed: int) -> None:
    seen = sight(sequences)
    inputs = drawn(len(seen.position), seed=seed)

    close(attend(*inputs, seen, SCALE), written_out(*inputs, seen.mask), inputs)


def test_gradients_are_the_slopes() -> None:
    seen = sight(DEEP)
    inputs = drawn(len(seen.position), 2)

    def attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return attend(query, key, value, seen, SCALE)

    assert torch.autograd.gradcheck(attended, inputs, fast_mode=False)


def test_longer_rows_than_a_kernel_s_block() -> None:
    long = list(range(700))
    seen = sight([long, [*long[:600], 1, 2], [*long[:600], 1, 3], [*long[:9], *range(300)]])
    inputs = drawn(len(seen.position))

    close(attend(*inputs, seen, SCALE), written_out(*inputs, seen.mask), inputs)


def test_values_may_be_of_another_width() -> None:
    seen = sight(DEEP)
    inputs = drawn(len(seen.position), 8, 6)

    close(attend(*inputs, seen, SCALE), written_out(*inputs, seen.mask), inputs)


def test_great_products_stay_finite() -> None:
    seen = sight(DEEP)
    query, key, value = drawn(len(seen.position), grad=False)
    inputs = [t.mul_(1e3).float().requires_grad_() for t in (query, key, value)]

    out = attend(*inputs, sight=seen, scale=SCALE)
    gradients = torch.autograd.grad(out.sum(), inputs)

    assert all(bool(t.isfinite().all()) for t in (out, *gradients))


def test_half_the_width_is_near() -> None:
    seen = sight(DEEP)
    inputs = [t.bfloat16() for t in drawn(len(seen.position), grad=False)]

    found = attend(*inputs, sight=seen, scale=SCALE)

    assert found.dtype == torch.bfloat16
    expected = written_out(*(t.double() for t in inputs), mask=seen.mask)
    # A value of up to 4 is rounded to 8 bits for each of the six nodes on a path at most.
    torch.testing.assert_close(found.double(), expected, atol=6 * 4 * 2**-9, rtol=0)


@pytest.mark.parametrize("window", [1, 2, 4, 5, 6, 99])
@pytest.mark.parametrize("cap", [None, 1.5])
def test_layers_with_windows_and_soft_caps_get_them(window: int, cap: float | None) -> None:
    seen = sight(DEEP)
    inputs = drawn(len(seen.position))
    options = (
        {"sliding_window": window} if cap is None else {"sliding_window": window, "softcap": cap}
    )

    found = as_layers_ask(inputs, seen, **options)

    close(found, written_out(*inputs, seen.within(window), cap), inputs)


def test_layers_without_either_get_the_whole_row() -> None:
    seen = sight(DEEP)
    inputs = drawn(len(seen.position))

    close(as_layers_ask(inputs, seen), written_out(*inputs, seen.mask), inputs)


@pytest.mark.parametrize("window", [None, 2, 4, 99])
@pytest.mark.parametrize("cap", [None, 1.5])
def test_a_sink_takes_its_part_of_the_softmax(window: int | None, cap: float | None) -> None:
    seen = sight(DEEP)
    inputs = drawn(len(seen.position))
    sinks = torch.tensor([-1.0, 0.0, 2.0, 5.0], dtype=torch.float64, requires_grad=True)
    options = {"sliding_window": window, "softcap": cap, "s_aux": sinks}

    found = as_layers_ask(inputs, seen, **options)

    mask = seen.mask if window is None else seen.within(window)
    close(found, written_out(*inputs, mask, cap, sinks), (*inputs, sinks))


def test_a_sink_far_below_all_else_takes_nothing() -> None:
    seen = sight(DEEP)
    inputs = drawn(len(seen.position))

    found = attend(*inputs, seen, SCALE, sinks=torch.full((4,), -1e9, dtype=torch.float64))

    close(found, attend(*inputs, seen, SCALE), inputs)


def test_gradients_with_sinks_are_the_slopes() -> None:
    seen = sight(DEEP)
    inputs = *drawn(len(seen.position), 2), torch.randn(4, dtype=torch.float64, requires_grad=True)

    def attended(query: Tensor, key: Tensor, value: Tensor, sinks: Tensor) -> Tensor:
        return attend(query, key, value, seen, SCALE, sinks=sinks)

    assert torch.autograd.gradcheck(attended, inputs, fast_mode=False)
