"""Adapters in a batch: each row goes through its own, and the base model's through none."""

import pytest
import torch
from torch import Tensor

from moot.agents.serving.cpu_lora import BASE, Parts

RANK, PLACES = 3, 4


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def plainly(
    places: list[int], x: Tensor, up: list[Tensor], down: list[Tensor] | None, scale: float
) -> Tensor:
    """Return (N, O) what is to be added, a row at a time."""
    rows: list[Tensor] = []
    for row, place in zip(x, places, strict=True):
        if place == BASE:
            rows.append(torch.zeros(sum(out.shape[2] for out in up)))
            continue
        narrow = [row] * len(up) if down is None else [into[place, 0] @ row for into in down]
        rows.append(torch.cat([out[place, 0] @ n for out, n in zip(up, narrow, strict=True)]))
    return scale * torch.stack(rows)


@pytest.mark.parametrize(
    "places",
    [
        [0, 0, 0],
        [2, 0, 2, 1, 2],
        [BASE, 3, BASE, 0, 3],
        [BASE, BASE],
        [3],
        [],
        [0, 1, 2, 3, 3, 2],
        [*[1] * 20, 2, BASE, 0, *[3] * 17, 2, 2],
    ],
)
def test_rows_go_each_through_their_own(places: list[int]) -> None:
    x = drawn(len(places), 6)
    down = [drawn(PLACES, 1, RANK, 6), drawn(PLACES, 1, RANK, 6)]
    up = [drawn(PLACES, 1, 5, RANK), drawn(PLACES, 1, 2, RANK)]
    y = drawn(len(places), 7)
    expected = y + plainly(places, x, up, down, 0.5) if places else y.clone()

    Parts(torch.tensor(places, dtype=torch.long)).add(y, x, up, down, 0.5)

    torch.testing.assert_close(y, expected)


def test_what_is_narrow_already_is_only_widened_and_padding_stays() -> None:
    places = [1, BASE, 1]
    x, up = drawn(3, RANK), [drawn(PLACES, 1, 5, RANK)]
    y, before = drawn(3, 8), drawn(3, 8)

    Parts(torch.tensor(places)).add(y, x, up)

    torch.testing.assert_close(y[:, :5], before[:, :5] + plainly(places, x, up, None, 1.0))
    assert torch.equal(y[:, 5:], before[:, 5:])
    assert torch.equal(y[1], before[1])


def test_numbers_of_half_the_width_are_added_up_in_full() -> None:
    x, down, up = drawn(2, 6).bfloat16(), [drawn(PLACES, 1, RANK, 6)], [drawn(PLACES, 1, 5, RANK)]
    y = torch.zeros(2, 5, dtype=torch.bfloat16)

    Parts(torch.tensor([0, 2])).add(y, x, up, down)

    torch.testing.assert_close(y, plainly([0, 2], x.float(), up, down, 1.0).bfloat16())
