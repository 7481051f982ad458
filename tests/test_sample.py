"""Sampling, against numbers derived by hand."""

import math

import pytest
import torch
from torch import Tensor

from moot.agents.embedded.sample import sample, truncate

HALVES = [0.125, 0.5, 0.25, 0.125]
"""The cumulated sums, in the order of ids, are .125, .625, .875 and 1."""


def draw(
    probabilities: list[float],
    uniform: float,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
) -> int:
    return int(
        sample(
            torch.tensor([probabilities]).log(),
            torch.tensor([temperature]),
            torch.tensor([top_p]),
            torch.tensor([top_k]),
            torch.tensor([uniform], dtype=torch.float64),
        )
    )


@pytest.mark.parametrize(
    ("uniform", "token"), [(0.0, 0), (0.12, 0), (0.13, 1), (0.62, 1), (0.63, 2), (0.88, 3)]
)
def test_a_draw_falls_where_its_share_of_the_whole_lies(uniform: float, token: int) -> None:
    assert draw(HALVES, uniform) == token


def test_the_largest_draw_never_falls_on_what_is_impossible() -> None:
    largest = math.nextafter(1.0, 0.0)
    assert draw([0.5, 0.5, 0.0], largest) == 1
    assert draw([0.0, 1.0, 0.0], 0.0) == 1
    assert draw(HALVES, largest, top_k=2) == 2


def test_a_low_temperature_sharpens() -> None:
    # At 1/2 the probabilities are squared: 1, 16, 4, 1 of 22.
    assert draw(HALVES, 0.9 / 22, 0.5) == 0
    assert draw(HALVES, 1.1 / 22, 0.5) == 1
    assert draw(HALVES, 16.9 / 22, 0.5) == 1
    assert draw(HALVES, 17.1 / 22, 0.5) == 2
    assert draw(HALVES, 0.99, 1e-30) == 1


def test_zero_takes_the_likeliest_and_the_first_of_equals() -> None:
    assert draw(HALVES, 0.99, temperature=0) == 1
    assert draw([0.2, 0.4, 0.4], 0.99, temperature=0) == 1


def test_top_k_keeps_the_likeliest() -> None:
    # 1 and 2 are left, at 2/3 and 1/3.
    assert [draw(HALVES, u, top_k=2) for u in (0.0, 0.66, 0.67)] == [1, 1, 2]
    assert draw(HALVES, 0.99, top_k=1) == 1
    assert draw(HALVES, 0.99, top_k=100) == 3


def test_top_p_keeps_the_fewest_that_reach_it() -> None:
    kept = truncate(
        torch.tensor([HALVES] * 4), torch.tensor([0.5, 0.51, 0.75, 0.76]), torch.zeros(4)
    )
    assert [row.count_nonzero().item() for row in kept] == [1, 2, 2, 3]
    assert kept[3].tolist() == [0.125, 0.5, 0.25, 0.0]  # of equals the first


def test_top_p_is_a_share_of_what_top_k_left() -> None:
    # Of 1, 2 and 0 (at 4/7, 2/7, 1/7) two reach .8; of all of them three would be needed.
    kept = truncate(torch.tensor([HALVES]), torch.tensor([0.8]), torch.tensor([3]))
    assert kept.tolist() == [[0.0, 0.5, 0.25, 0.0]]


def batch(n: int) -> tuple[Tensor, ...]:
    dice = torch.Generator().manual_seed(0)
    return (
        torch.randn(n, 50, generator=dice) * 3,
        torch.tensor([0.0, 0.7, 1.0, 1.5]).repeat(n // 4),
        torch.tensor([1.0, 0.9, 1.0, 0.5, 0.3, 1.0, 0.8]).repeat(n)[:n],
        torch.tensor([0, 0, 5, 0, 3]).repeat(n)[:n],
        torch.rand(n, generator=dice, dtype=torch.float64),
    )


def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    rows = batch(40)
    together = sample(*rows)
    alone = [sample(*(column[i : i + 1] for column in rows)) for i in range(40)]
    assert together.tolist() == [int(token) for token in alone]


def test_draws_are_distributed_as_the_model_says() -> None:
    n = 20_000
    uniform = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    logits = torch.tensor(HALVES).log().expand(n, 4)
    ones, none = torch.ones(n), torch.zeros(n, dtype=torch.long)
    counts = sample(logits, ones, ones, none, uniform).bincount()
    assert counts.tolist() == [n // 8, n // 2, n // 4, n // 8]
