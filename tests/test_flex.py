"""FlexAttention over a prefix tree: its blocks, and that it is compiled wherever it is asked."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import torch
from masked_softmax import DEEP, SCALE, drawn, sight, written_out
from torch import Tensor
from torch._dynamo import config as dynamo  # pyright: ignore[reportPrivateUsage]
from torch.nn.attention.flex_attention import flex_attention

from moot.training.model import attention
from moot.training.model.attention import attend
from moot.training.model.sight import Sight


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


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("cap", [None, 1.5])
def test_a_sink_takes_its_part_of_what_flex_attention_sees(
    cap: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = of_blocks()
    inputs = drawn(len(seen.position), 16, grad=False)  # gradients: tests/test_gpu.py
    sinks = torch.tensor([-1.0, 0.0, 2.0, 5.0], dtype=torch.float64)
    monkeypatch.setattr(attention, "_compiled", lambda: flex_attention)

    found = attention._flex(  # pyright: ignore[reportPrivateUsage]
        *inputs, seen.blocks(None), SCALE, cap, sinks
    )

    expected = written_out(*inputs, seen.mask, cap, sinks)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def kinds(widths: Iterable[int]) -> Iterator[int]:
    """Have FlexAttention meet heads of these widths, and yield which it came to."""
    seen = sight(DEEP)
    for width in widths:
        query, key, value = drawn(len(seen.position), width, grad=False)
        found = attention._flex(  # pyright: ignore[reportPrivateUsage]
            query, key, value, seen.blocks(None), SCALE, None, None
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
