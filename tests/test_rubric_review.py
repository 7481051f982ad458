"""Reviews of a rubric: critics throw out criteria, or abstain."""

from rubric_talk import (
    held,
    proposal,
)

from moot.protocols.asking import parsed
from moot.protocols.conformance import TASK
from moot.protocols.rubric import Rubric
from moot.protocols.rubrics.review import REVIEW, Review


def test_critics_throw_out_what_most_of_them_reject() -> None:
    texts = tuple("abcdefg")
    reviews = (
        '{"same": [[4, 1], [2, 9, 0]], "unverifiable": [3], "gameable": [99]}',  # 4, 3
        '{"same": [[1, 4, 5]], "unverifiable": [1], "gameable": [6, 6]}',  # 5, 1, 6
        'I object: {"same": [], "unverifiable": [], "gameable": [6, 5, 7, 3]}',  # 6, 5, 7, 3
    )

    episode = held(
        Rubric(review=True), proposals=(proposal(*texts),), review=lambda nth: reviews[nth]
    )

    # Twice rejected: 3, 5 and 6; 4 once, for the second critic keeps it in place of 1.
    assert episode.outcome.rubric[1:] == ("[1] a", "[1] b", "[1] d", "[1] g")
    assert episode.outcome.notes["rejected"] == 3
    reviewing = [t for t in episode.turns if "should not be used" in t.prompt[-1].content]
    assert [(t.agent.name, t.heard) for t in reviewing] == [(f"c{i}", (3,)) for i in range(3)]
    assert len({t.prompt for t in reviewing}) == 1
    assert f"Question: {TASK.prompt}" in reviewing[0].prompt[-1].content
    assert '<criterion number="7">\n[1] g\n</criterion>' in reviewing[0].prompt[-1].content


def test_a_review_is_of_the_criteria_there_are() -> None:
    review = Review(same=[[0, 1], [3, 2, 3]], unverifiable=[], gameable=[])

    assert review.rejected(3) == {3}  # there is no 0 that 1 could repeat


def test_a_critic_that_repeats_its_prompt_rejects_nothing() -> None:
    assert parsed(REVIEW, Review) is None


def test_critics_who_cannot_be_read_abstain() -> None:
    def review(nth: int) -> str:
        return ["?", '{"same": [], "unverifiable": [2], "gameable": []}', "[]", "{}", "no"][nth]

    episode = held(Rubric(review=True), review=review)
    assert episode.outcome.rubric[1:] == ("[1] Says 42",)  # the one who can be read is most

    silent = held(Rubric(review=True), review=lambda nth: "all are fine")
    assert silent.outcome.notes["rejected"] == 0
