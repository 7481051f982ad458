"""The prefix tree: exact on one made by hand, and true to its sequences whatever they are."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from moot.training.model.tree import Node, tree

# Few ids, so that sequences often begin alike; their bytes order otherwise than they do.
IDS = st.sampled_from([0, 1, 256, 65_536])
SEQUENCES = st.lists(st.lists(IDS, max_size=7), max_size=9)


def prefixes(sequences: list[list[int]]) -> set[tuple[int, ...]]:
    return {tuple(s[: n + 1]) for s in sequences for n in range(len(s))}


def named(sequences: list[list[int]]) -> list[tuple[int, ...]]:
    """Return what each place of their tree stands for: all tokens up to its own."""
    paths = tree(sequences).paths
    found = {
        int(place): tuple(sequence[: n + 1])
        for sequence, path in zip(sequences, paths, strict=True)
        for n, place in enumerate(path)
    }
    return [found[place] for place in range(len(found))]


def test_a_tree_by_hand() -> None:
    # 1 2 3 4     places 0 1 2 3
    #       5                  4
    #     6                  5
    #   7                  6
    # 8                    7
    found = tree([[8], [1, 2, 3, 5], [1, 7], [1, 2, 6], [1, 2, 3, 4], [1, 2, 3, 5]])

    assert found.tokens.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert found.position.tolist() == [0, 1, 2, 3, 3, 2, 1, 0]
    assert found.nodes == (
        Node(0, 1, 7),  # 1, before 2 and 7
        Node(1, 2, 6),  # 2, before 3 and 6
        Node(2, 3, 5),  # 3, before 4 and 5
        Node(3, 4, 4),
        Node(4, 5, 5),
        Node(5, 6, 6),
        Node(6, 7, 7),
        Node(7, 8, 8),
    )
    assert [path.tolist() for path in found.paths] == [
        [7],
        [0, 1, 2, 4],
        [0, 6],
        [0, 1, 5],
        [0, 1, 2, 3],
        [0, 1, 2, 4],
    ]


def test_a_sequence_that_another_goes_on_from_ends_a_node() -> None:
    found = tree([[5, 6, 7, 8], [5, 6], [], [5, 6, 9]])

    assert found.tokens.tolist() == [5, 6, 7, 8, 9]
    assert found.position.tolist() == [0, 1, 2, 3, 2]
    assert found.nodes == (Node(0, 2, 5), Node(2, 4, 4), Node(4, 5, 5))
    assert [path.tolist() for path in found.paths] == [[0, 1, 2, 3], [0, 1], [], [0, 1, 4]]


def test_what_has_no_fork_is_one_node() -> None:
    assert tree([[3, 3, 3], [3, 3, 3]]).nodes == (Node(0, 3, 3),)


def test_nothing_is_a_tree_without_nodes() -> None:
    for sequences in ([], [[]], [[], []]):
        found = tree(sequences)
        assert (len(found.tokens), len(found.position), found.nodes) == (0, 0, ())
        assert [path.tolist() for path in found.paths] == sequences


@given(SEQUENCES)
def test_every_path_spells_its_sequence(sequences: list[list[int]]) -> None:
    found = tree(sequences)

    assert [found.tokens[path].tolist() for path in found.paths] == sequences
    for path in found.paths:
        assert found.position[path].tolist() == list(range(len(path)))


@given(SEQUENCES)
def test_each_beginning_is_there_once(sequences: list[list[int]]) -> None:
    found, names = tree(sequences), named(sequences)

    assert set(names) == prefixes(sequences)
    assert len(found.tokens) == len(names) == len(set(names))


@given(SEQUENCES)
def test_nodes_cover_the_tokens_without_gaps(sequences: list[list[int]]) -> None:
    found = tree(sequences)
    starts, ends = [n.start for n in found.nodes], [n.end for n in found.nodes]

    assert [*starts, len(found.tokens)] == [0, *ends]
    assert all(n.start < n.end <= n.last <= len(found.tokens) for n in found.nodes)
    for node in found.nodes:  # within one, each token follows the one before it
        assert np.all(np.diff(found.position[node.start : node.end]) == 1)


@given(SEQUENCES)
def test_what_follows_a_token_is_the_stretch_after_it(sequences: list[list[int]]) -> None:
    found, names = tree(sequences), named(sequences)
    last = [node.last for node in found.nodes for _ in range(node.start, node.end)]

    for k, beginning in enumerate(names):
        for q, name in enumerate(names):
            assert (k <= q < last[k]) == (name[: len(beginning)] == beginning)
