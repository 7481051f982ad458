"""SFT: what is imitated, by whom, as a reply to what, and how much each token counts."""

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError
from told import episode, turn

from moot.agents.types import Message
from moot.protocols.types import Demonstration, Verdict
from moot.training.methods.sft import SFT

# References.


def test_a_reference_is_shown_as_the_reply_to_the_question_as_it_was_put() -> None:
    told = episode(
        [
            turn(0, "5", persona="kind", prompt_tokens=(1, 2), tokens=(9,)),
            turn(1, "it is 4", role="critic", weights=None, asked="merge", tokens=(8, 3)),
        ],
        reference="it is 4",
        source=1,
    )

    [found] = SFT().examples(told)

    assert found.said.prompt == (Message("system", "kind"), Message("user", "2 + 2?"))
    assert (found.said.prompt_tokens, found.said.tokens) == ((1, 2), (8, 3))
    assert (found.turn, found.agent, found.speakers, found.name) == (1, "p0", ("w",), "reference")


def test_each_learner_is_asked_in_its_own_words_and_once() -> None:
    turns = [
        turn(0, "4", persona="kind", weights="a"),
        turn(1, "5", persona="stern", weights="b"),
        turn(2, "4", asked="again", persona="kind", weights="a", round=1),
        turn(3, "6", weights=None),
        turn(4, "4", role="judge", weights="c"),
    ]

    found = SFT().examples(episode(turns, reference="4"))

    asked = [(one.agent, one.speakers, one.said.prompt) for one in found]
    assert asked == [
        ("p0", ("a",), (Message("system", "kind"), Message("user", "2 + 2?"))),
        ("p1", ("b",), (Message("system", "stern"), Message("user", "2 + 2?"))),
    ]


def test_of_equal_texts_the_one_that_was_taken_is_learnt() -> None:
    turns = [turn(0, "4", tokens=(5,)), turn(1, "4", tokens=(6, 7))]

    [found] = SFT().examples(episode(turns, reference="4", source=0))

    assert (found.turn, found.said.tokens) == (0, (5,))


def test_of_a_reference_that_was_read_from_a_reply_the_text_is_learnt() -> None:
    turns = [turn(0, "5"), turn(1, '{"answer": "4"}', role="judge", tokens=(6, 7))]

    [found] = SFT().examples(episode(turns, reference="4", source=1))

    assert (found.turn, found.said.text, found.said.tokens) == (None, "4", ())


def test_a_reference_that_nobody_said_is_text_alone() -> None:
    told = episode([turn(0, "5", tokens=(9,), prompt_tokens=(1,))], reference="four")

    [found] = SFT().examples(told)

    assert found.turn is None
    assert (found.said.text, found.said.tokens, found.said.finish) == ("four", (), "stop")


def test_a_reference_is_learnt_at_temperature_1_and_where_another_engine_said_it() -> None:
    turns = [
        turn(0, "5", temperature=0.7),
        turn(1, "4", role="critic", engine="big", weights=None, temperature=0.3, tokens=(900,)),
    ]

    [found] = SFT().examples(episode(turns, reference="4", source=1))

    #  The engine is the one that sampled the tokens, by which others' are dropped before learning.
    assert (found.said.engine, found.said.temperature) == ("big", 1.0)


def test_without_a_reference_or_a_learner_there_is_nothing_to_imitate() -> None:
    frozen = [turn(0, "4", weights=None)]

    assert SFT().examples(episode([turn(0, "4")])) == []
    assert SFT().examples(episode(frozen, reference="4")) == []
    assert SFT().examples(episode([], reference="4")) == []
    assert SFT().given() is None


# Demonstrations, and the best.


def demonstrated() -> Any:
    turns = [turn(0, "5"), turn(1, "4", asked="merge", weights="v"), turn(2, "6", weights=None)]
    shows = (
        Demonstration(0, 0, "generator"),
        Demonstration(0, 1, "revision"),
        Demonstration(0, 2, "revision"),
    )
    return episode(turns, demonstrations=shows)


def test_demonstrations_are_for_who_said_them_as_replies_to_what_was_asked() -> None:
    found = SFT(on="demonstrations").examples(demonstrated())

    assert [(one.turn, one.speakers, one.name) for one in found] == [
        (0, ("w",), "generator"),
        (1, ("v",), "revision"),
    ]
    assert [one.said.prompt[-1].content for one in found] == ["2 + 2?", "2 + 2?"]


@pytest.mark.parametrize(
    ("weigh", "names"),
    [
        (None, ["generator", "revision"]),
        ({"revision": 0.5}, ["revision"]),
        ({"revision": 0.0, "generator": 1.0}, ["generator"]),
        ({"other": 1.0}, []),
        ({}, []),
    ],
)
def test_demonstrations_that_do_not_weigh_are_left_out(
    weigh: dict[str, float] | None, names: list[str]
) -> None:
    found = SFT(on="demonstrations", weigh=weigh).examples(demonstrated())

    assert [one.name for one in found] == names


def grade(of: int, score: float | None, by: int | None = None) -> Verdict:
    return Verdict(of, "grade", score, by=by)


def test_of_answers_graded_alike_one_is_drawn_to_be_imitated() -> None:
    told = episode(
        [turn(i, str(i)) for i in range(3)],
        verdicts=(grade(0, 0.9), grade(1, 0.2), grade(2, 0.9)),
    )
    tasks = [replace(told.task, id=f"t{i}") for i in range(40)]
    found = [SFT(on="best").examples(replace(told, task=task)) for task in tasks]

    assert {one.turn for some in found for one in some} == {0, 2}


@pytest.mark.parametrize(
    ("grades", "least", "best"),
    [
        ([grade(0, 0.2), grade(1, 0.8)], 0.0, [1]),
        ([grade(0, 0.8), grade(1, 0.8)], 0.0, [0]),  # of equals the first
        ([grade(0, 0.2), grade(1, 0.8)], 0.8, [1]),
        ([grade(0, 0.2), grade(1, 0.8)], 0.9, []),
        ([grade(0, 0.2), grade(1, None)], 0.0, [0]),
        ([grade(0, None), grade(1, None)], 0.0, []),
        ([grade(0, 0.2), grade(1, 0.8, by=7)], 0.0, [0]),  # one judge's word is no grade yet
        ([grade(0, 0.2), Verdict(1, "match", 1.0)], 0.0, [0]),
        ([grade(0, 0.2), grade(2, 0.9)], 0.0, []),  # the best is a frozen agent's
        ([], 0.0, []),
    ],
)
def test_the_best_graded_answer_is_imitated_where_it_is_good_enough(
    grades: list[Verdict], least: float, best: list[int]
) -> None:
    turns = [turn(0, "5"), turn(1, "4"), turn(2, "4", weights=None)]

    found = SFT(on="best", least=least).examples(episode(turns, verdicts=tuple(grades)))

    assert [one.turn for one in found] == best
    assert all(one.name == "best" and one.speakers == ("w",) for one in found)


@pytest.mark.parametrize(
    ("on", "needs"),
    [("reference", "reference"), ("demonstrations", "demonstrations"), ("best", "grades")],
)
def test_what_is_imitated_is_what_a_protocol_must_yield(on: Any, needs: str) -> None:
    assert SFT(on=on).needs == SFT(on=on, file="shows.jsonl").needs == needs


def test_a_file_alone_teaches_nothing_of_the_talk() -> None:
    alone = SFT(talk=False, file="shows.jsonl")

    assert alone.needs is None
    assert alone.examples(episode([turn(0, "4")], reference="4")) == []
    assert SFT(file="shows.jsonl").examples(episode([turn(0, "4")], reference="4")) != []
    with pytest.raises(ValidationError, match="no demonstrations to learn from: name a `file`"):
        SFT(talk=False)
