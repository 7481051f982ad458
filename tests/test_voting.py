"""Votes: who wins, who abstains, what a tie is."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from moot.protocols.voting import Vote, plurality


def test_the_answer_given_most_often_wins() -> None:
    assert plurality(["4", "5", "4"]) == Vote("4", 2 / 3, tied=False, unreadable=0)


def test_a_tie_goes_to_the_answer_given_first() -> None:
    assert plurality(["5", "4", "4", "5"]) == Vote("5", 0.5, tied=True, unreadable=0)


def test_unreadable_answers_abstain_and_are_counted() -> None:
    assert plurality([None, "4", None]) == Vote("4", 1.0, tied=False, unreadable=2)


def test_nobody_readable_is_no_winner() -> None:
    assert plurality([None, None]) == Vote(None, None, tied=False, unreadable=2)
    assert plurality([]) == Vote(None, None, tied=False, unreadable=0)


@given(st.lists(st.sampled_from([None, "a", "b", "c"])))
def test_no_answer_has_more_votes_than_the_winner(answers: list[str | None]) -> None:
    counts = Counter(answer for answer in answers if answer is not None)

    assert all(counts[plurality(answers).winner or ""] >= n for n in counts.values())
