"""What is asked in a form is read with care: once more where it can't be, and never by default."""

import pytest
from pydantic import BaseModel

from moot.protocols.asking import objects, parsed
from moot.protocols.reading import named

PLACES = ("1", "2")
MARKS = tuple(str(i) for i in range(1, 11))


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("1", "1"),
        (" 2.\n", "2"),
        ("(2)", "2"),
        ("**1**", "1"),
        ("Reply 2 is better.", "2"),
        ("Reply 1 is clearly the better one.", "1"),
        ("The better reply is **1**", "1"),
        ("I choose 2.", "2"),
        ("2. It has no mistakes.", "2"),
        ("1. The first is right. 2. The second is wrong.", None),
        ("1 is worse than 2.", None),
        ("Reply 1 is wrong.", None),
        ("Reply 1 is not better.", None),
        ("Not 1.", None),
        ("The wrong one is 1.", None),
        ("1 < 2", None),
        ("1, 2", None),
        ("Both 2 replies are bad", None),
        ("2, because reply 1 is wrong", "2"),
        ("Reply 1 errs, so my answer is 2", "2"),
        ("Answer: 1\nAnswer: 2", "2"),
        ("The answer: 1 or 2", None),
        ("1 or 2", None),
        ("1/2", None),
        ("1 and 2 are alike", None),
        ("Reply 1 and reply 2 are alike", None),
        ("", None),
        ("neither", None),
        ("12", None),
        ("1.5", None),
        ("x1", None),
        ("-1", None),
        ("\x00\ud7ff\ufffe", None),
        ("one " * 50_000, None),
    ],
)
def test_one_of_two_places_is_read(text: str, choice: str | None) -> None:
    assert named(text, PLACES) == choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("8", "8"),
        ("10", "10"),
        ("8/10", "8"),
        ("I give it 7 out of 10.", "7"),
        ("Score: 9", "9"),
        ("Rating: 3 (of 10)", "3"),
        ("8 or 9", None),
        ("It has 2 errors, so", None),
        ("I'd give it 3 out of 5", None),
        ("8-9", None),
        ("8.5", None),
        ("100", None),
        ("0", None),
        ("10/10", "10"),
    ],
)
def test_a_mark_from_one_to_ten_is_read(text: str, choice: str | None) -> None:
    assert named(text, MARKS) == choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("Yes.", "yes"),
        ("no", "no"),
        ("Yes, there is no doubt.", "yes"),
        ("There is no doubt: yes", None),
        ("No doubt about it: yes.", None),
        ("There is no difference between them.", None),
        ("No difference.", None),
        ("I can't say yes.", None),
        ("Not met", None),
        ("yes and no", None),
        ("Verdict: no. Others would say yes.", "no"),
    ],
)
def test_yes_or_no_is_read(text: str, choice: str | None) -> None:
    assert named(text, ("yes", "no")) == choice


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("1", "1"),
        ("1\n\nReply 2 is", "1"),
        ("2, because it is", "2"),
        ("Answer: 2. Reply 1", "2"),
        ("Answer: 1", None),  # 10, perhaps
        ("1. The first reply is", None),
        ("Reply 2 is clearly not as", None),
        ("The first response is 1", None),
        ("I have read reply 1", None),
    ],
)
def test_of_a_reply_that_was_cut_only_what_is_stated_counts(text: str, choice: str | None) -> None:
    assert named(text, MARKS, cut=True) == choice


class Shape(BaseModel):
    a: int


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', 1),
        ('{"a": 1} no: {"a": 2}', 2),
        ('```json\n{"a": 3}\n```', 3),
        ('{"b": {"a": 1}}', None),
        ('{"a": 1', None),
        ('{{{{{"a": 4}', 4),
        ('{"a": 5} {broken', 5),
        ('{"a": "six"}', None),
        ("[" * 100_000, None),
        ('{"a":' * 100_000, None),
        ("{" * 100_000 + '{"a": 7}', None),
        ("", None),
    ],
)
def test_the_last_object_of_the_shape_is_read(text: str, found: int | None) -> None:
    assert parsed(text, Shape) == (None if found is None else Shape(a=found))


def test_what_is_no_character_is_a_question_mark() -> None:
    assert list(objects('{"a": "42 \\ud83d", "b": ["\\ud83d\\ude00"]}')) == [
        {"a": "42 ?", "b": ["😀"]}
    ]
