"""What recurrent layers read in turn: exact by hand, and all of each row whatever the tree."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from moot.training.model.stretches import FEWEST, SHORTEST, Turn, cost, first, turns
from moot.training.model.tree import Tree, tree

IDS = st.sampled_from([0, 1, 256])
SEQUENCES = st.lists(st.lists(IDS, min_size=1, max_size=9), min_size=1, max_size=9)
LEAST = st.integers(FEWEST, 5)


def plain(some: list[Turn]) -> list[tuple[list[list[int]], tuple[int, ...], tuple[int, ...]]]:
    return [(turn.places.tolist(), turn.numbers, turn.after) for turn in some]


def test_what_is_long_is_read_once_and_what_is_short_again() -> None:
    # 1 2 3   places 0 1 2
    #       4              3
    #         5 6 7          4 5 6
    #         7 8 9 4        7 8 9 10
    #       5              11
    # 6       12
    some = tree([[1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 7, 8, 9, 4], [1, 2, 3, 5], [6]])

    found = [*turns(some.nodes, shortest=3)]

    assert plain(found) == [
        ([[0, 1, 2]], (0,), ()),
        ([[12, -1]], (), ()),  # begins; a token is never read by itself
        ([[11, -1]], (), (0,)),
        ([[3, 4, 5, 6, -1], [3, 7, 8, 9, 10]], (), (0, 0)),  # one 4 isn't gone on from
    ]
    places = [turn.places for turn in found]
    flat = torch.cat([some.flatten() for some in places])
    assert flat[first(places)].tolist() == [*range(13)]
    assert int(first(places)[3]) == 7  # where it is first, of two


def test_states_are_handed_on_from_one_that_was_given_its_own() -> None:
    some = tree([[1, 2, 3, 4, 5], [1, 2, 3, 4, 6], [1, 2, 7]])

    assert plain([*turns(some.nodes, shortest=2)]) == [
        ([[0, 1]], (0,), ()),
        ([[2, 3]], (1,), (0,)),
        ([[4, -1], [5, -1], [6, -1]], (), (1, 1, 0)),  # at once, whatever they go on from
    ]


def test_what_is_read_is_counted_with_its_padding_and_no_stretch_is_cheaper_than_a_chunk() -> None:
    def counted(shared: int, *ends: int) -> int:
        begin = [1] * shared
        return cost(tree([[*begin, 2 + n, *[3] * (end - 1)] for n, end in enumerate(ends)]).nodes)

    assert counted(SHORTEST, 1, 2, 5) == (1 + 3) * SHORTEST
    assert counted(SHORTEST - 1, 2, 2) == 2 * (SHORTEST + 1)  # again by each
    assert counted(100, 70, 90) == 100 + 2 * 90


def test_a_tree_without_a_fork_is_read_at_once() -> None:
    assert plain([*turns(tree([[1, 2, 3]]).nodes)]) == [([[0, 1, 2]], (), ())]


@given(SEQUENCES, LEAST)
def test_every_row_is_read_from_its_first_token_on(sequences: list[list[int]], least: int) -> None:
    some = tree(sequences)
    known: dict[int, list[int]] = {}  # all that was read where a stretch ends, by its number
    rows: list[list[int]] = []

    for turn in turns(some.nodes, least):
        begins = [known[n] for n in turn.after] or [[] for _ in turn.places]
        own = [[p for p in row if p >= 0] for row in turn.places.tolist()]
        whole = [begin + more for begin, more in zip(begins, own, strict=True)]
        assert turn.places.shape[1] >= FEWEST or not turn.after
        if turn.numbers:
            assert all(len(more) == turn.places.shape[1] >= least for more in own)  # no padding
        known |= dict(zip(turn.numbers, whole, strict=False))
        rows += whole

    spelled = {tuple(int(some.tokens[p]) for p in row) for row in rows}
    assert spelled >= {tuple(s) for s in ends(some)}
    assert all(begin(some, row) for row in rows)


def ends(some: Tree) -> list[list[int]]:
    """Return the tokens of the rows that no other goes on from."""
    wholes = [path.tolist() for path in some.paths]
    last = {node.end - 1 for node in some.nodes if node.end == node.last}
    return [[int(some.tokens[p]) for p in path] for path in wholes if path and path[-1] in last]


def begin(some: Tree, row: list[int]) -> bool:
    """Return whether the places are those of a row's first tokens."""
    return any(path[: len(row)].tolist() == row for path in some.paths)
