"""Votes: who wins, who abstains, what a tie is."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.protocols.conformance import TASK
from moot.protocols.voting import Vote, plurality


def test_the_answer_given_most_often_wins() -> None:
    assert plurality(None, ["4", "5", "4"]) == Vote("4", 2 / 3, tied=False, unreadable=0)


def test_of_a_tie_one_is_drawn_by_the_task_or_the_first_wins_where_none_is_known() -> None:
    answers = ["5", "4", "4", "5", "6"]
    drawn = [plurality(replace(TASK, id=f"t{i}"), answers) for i in range(100)]

    assert plurality(None, answers) == Vote("5", 0.4, tied=True, unreadable=0)
    assert {(vote.winner, vote.share, vote.tied) for vote in drawn} == {
        ("5", 0.4, True),
        ("4", 0.4, True),
    }
    assert 35 < sum(vote.winner == "5" for vote in drawn) < 65
    assert plurality(TASK, answers) == plurality(TASK, answers[::-1])


def test_unreadable_answers_abstain_and_are_counted() -> None:
    assert plurality(None, [None, "4", None]) == Vote("4", 1.0, tied=False, unreadable=2)


def test_nobody_readable_is_no_winner() -> None:
    assert plurality(None, [None, None]) == Vote(None, None, tied=False, unreadable=2)
    assert plurality(None, []) == Vote(None, None, tied=False, unreadable=0)


def test_an_answer_counts_as_much_as_its_weights() -> None:
    vote = plurality(None, ["4", "5", "4"], [0.25, 1.0, 0.5])

    assert vote == Vote("5", 1.0 / 1.75, tied=False, unreadable=0)


def test_who_has_no_readable_weight_abstains_and_who_weighs_nothing_has_no_say() -> None:
    assert plurality(None, ["4", "5", None], [None, 0.1, 9.0]) == Vote(
        "5", 1.0, False, unreadable=2
    )
    assert plurality(None, ["4", "5"], [0.0, 0.1]) == Vote("5", 1.0, False, unreadable=0)
    assert plurality(None, ["4", "5"], [0.0, 0.0]) == Vote(None, None, False, unreadable=0)


def test_a_tie_of_weights_is_one_though_sums_are_rounded() -> None:
    assert 0.1 + 0.1 + 0.1 > 0.3

    vote = plurality(None, ["7", "4", "4", "4"], [0.3, 0.1, 0.1, 0.1])

    assert (vote.winner, vote.tied) == ("7", True)


def test_every_voter_has_a_weight_or_none_has() -> None:
    with pytest.raises(ValueError, match="zip"):
        plurality(None, ["4", "5"], [1.0])


@given(st.lists(st.sampled_from([None, "a", "b", "c"])))
def test_no_answer_has_more_votes_than_the_winner(answers: list[str | None]) -> None:
    counts = Counter(answer for answer in answers if answer is not None)

    assert all(counts[plurality(None, answers).winner or ""] >= n for n in counts.values())


@given(st.lists(st.sampled_from([None, "a", "b", "c"])), st.sampled_from([0.1, 1.0, 7.0]))
def test_equal_weights_are_none(answers: list[str | None], weight: float) -> None:
    weighed, equal = plurality(None, answers, [weight] * len(answers)), plurality(None, answers)

    assert weighed.share == (None if equal.share is None else pytest.approx(equal.share))
    assert (weighed.winner, weighed.tied) == (equal.winner, equal.tied)
    assert weighed.unreadable == equal.unreadable
