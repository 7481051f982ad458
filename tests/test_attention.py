"""Attention over a prefix tree: what a softmax under its mask, written out, gives."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._dynamo import config as dynamo  # pyright: ignore[reportPrivateUsage]
from torch.nn.attention.flex_attention import flex_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from moot.agents.errors import MootError
from moot.training.model import attention
from moot.training.model.attention import KERNEL, attend
from moot.training.model.sight import Sight
from moot.training.model.tree import tree

# Forks after 1, 1 2, 1 2 3 and 1 2 3 4: leaves lie up to five nodes deep.
DEEP = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 7], [1, 2, 3, 8, 9], [1, 2, 10], [1, 11, 12], [13, 14]]
SCALE = 0.4
Drawn = tuple[Tensor, Tensor, Tensor]
SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=9)


def sight(sequences: list[list[int]]) -> Sight:
    packed = tree(sequences)
    return Sight.of(packed.nodes, torch.from_numpy(packed.position))


def drawn(
    tokens: int, width: int = 8, values: int | None = None, seed: int = 0, *, grad: bool = True
) -> Drawn:
    """Return random queries of four heads, and keys and values of two, in float64."""
    draw = torch.Generator().manual_seed(seed)
    query, key, value = (
        torch.randn(1, heads, tokens, wide, generator=draw, dtype=torch.float64, requires_grad=grad)
        for heads, wide in ((4, width), (2, width), (2, values or width))
    )
    return query, key, value


def written_out(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, cap: float | None = None
) -> Tensor:
    """Return the definition: query heads 0 and 1 meet key head 0, 2 and 3 meet key head 1."""
    keys, values = key[:, [0, 0, 1, 1]], value[:, [0, 0, 1, 1]]
    products = torch.einsum("bhqd,bhkd->bhqk", query, keys) * SCALE
    if cap is not None:
        products = cap * (products / cap).tanh()
    odds = products.exp() * mask
    return torch.einsum("bhqk,bhkd->bhqd", odds / odds.sum(-1, keepdim=True), values)


def as_layers_ask(inputs: Drawn, seen: Sight, **options: float | Tensor) -> Tensor:
    """Return (1, H, M, D) what a layer of transformers is given under our name."""
    call = ALL_ATTENTION_FUNCTIONS[KERNEL]
    out, weights = call(torch.nn.Module(), *inputs, None, scaling=SCALE, sight=seen, **options)
    assert weights is None
    return out.transpose(1, 2)


def close(found: Tensor, expected: Tensor, inputs: Drawn) -> None:
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


def of_blocks() -> Sight:
    """Return 530 tokens, five blocks of 128, of which some are whole, some cut, some left out."""
    trunk = list(range(200))
    rows = [[*trunk, *range(end, end + 60)] for end in range(1000, 5000, 1000)]
    return sight([*rows, list(range(9000, 9090))])


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("window", [None, 3, 150, 999])
def test_flex_attention_sees_the_same(window: int | None) -> None:
    seen = of_blocks()
    query, key, value = drawn(len(seen.position), 16, grad=False)

    blocks = seen.blocks(window)
    found = flex_attention(query, key, value, block_mask=blocks, scale=SCALE, enable_gqa=True)

    assert isinstance(found, Tensor)
    expected = attend(query, key, value, seen, SCALE, window)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def kinds(widths: Iterable[int]) -> Iterator[int]:
    """Have FlexAttention meet heads of these widths, and yield which it came to."""
    seen = sight(DEEP)
    for width in widths:
        query, key, value = drawn(len(seen.position), width, grad=False)
        found = attention._flex(  # pyright: ignore[reportPrivateUsage]
            query, key, value, seen.blocks(None), SCALE, None
        )
        expected = written_out(query, key, value, seen.mask)
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
        yield width


def test_in_every_context_all_kinds_of_attention_are_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiled = 0

    def counted(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Callable[..., Any]:
        nonlocal compiled
        compiled += 1
        return graph.forward

    torch.compiler.reset()
    kernel = torch.compile(flex_attention, dynamic=True, backend=counted)
    monkeypatch.setattr(attention, "_compiled", lambda: kernel)
    limits: Any = dynamo

    async def run() -> list[int]:  # as a run lets its learners learn: each step in its own context
        steps = kinds([2, 3, 4])
        return [await asyncio.to_thread(next, steps) for _ in range(3)]

    with limits.patch(recompile_limit=1):
        assert asyncio.run(run()) == [2, 3, 4]

    assert compiled == 3


def listed(counts: Tensor | None, blocks: Tensor | None) -> set[tuple[int, int]]:
    """Return the pairs of blocks that a block mask lists."""
    assert counts is not None
    assert blocks is not None
    return {
        (row, int(block))
        for row, many in enumerate(counts[0, 0].tolist())
        for block in blocks[0, 0, row, :many]
    }


@pytest.mark.parametrize("window", [None, 3, 150])
def test_blocks_are_whole_where_all_is_seen_and_left_out_where_nothing_is(
    window: int | None,
) -> None:
    seen = of_blocks()
    mask = seen.mask if window is None else seen.within(window)
    found = seen.blocks(window)
    whole = listed(found.full_kv_num_blocks, found.full_kv_indices)
    cut = listed(found.kv_num_blocks, found.kv_indices)
    by_hand = {
        (i, j): mask[128 * i : 128 * (i + 1), 128 * j : 128 * (j + 1)]
        for i in range(5)
        for j in range(5)
    }
    full, some = (
        {place for place, block in by_hand.items() if seen_at(block)}
        for seen_at in (torch.all, torch.any)
    )
    assert whole <= full
    assert whole | cut >= some
    if window is None:
        assert whole == full != set()
        assert whole | cut == some
    assert not whole & cut
    assert len(whole | cut) < 15  # causal, without a tree: 15


def test_attention_sinks_are_refused() -> None:
    seen = sight(DEEP)

    with pytest.raises(MootError, match="attention sinks, which this model has"):
        as_layers_ask(drawn(len(seen.position)), seen, s_aux=torch.zeros(4))
