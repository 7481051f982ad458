"""Criteria: what a rubric is worth, as text, and as agents write it."""

import json

import pytest

from moot.protocols.rubrics.criteria import (
    Criterion,
    discrimination,
    earned,
    given,
    rubric,
    sound,
    tidied,
)
from moot.protocols.rubrics.drafts import LABELS, Weights, drafted

RAR = [Criterion(label, points) for label, points in LABELS.items()]  # 1, 0.7, 0.3, 0.9
HEALTH = [Criterion("calls for help", 10), Criterion("is calm", 4), Criterion("names a dose", -6)]


def test_uniform_criteria_give_the_share_that_is_met() -> None:
    five = [Criterion(str(i)) for i in range(5)]

    # The example of Compute as Teacher: four of five.
    assert earned(five, [1, 1, 1, 1, 0]) == 0.8
    assert earned(five, [0.5] * 5) == 0.5


def test_labels_weigh_as_rubrics_as_rewards_has_them() -> None:
    # Essential and pitfall met: (1.0 + 0.9) / (1.0 + 0.7 + 0.3 + 0.9) = 1.9 / 2.9.
    assert earned(RAR, [1, 0, 0, 1]) == pytest.approx(1.9 / 2.9)
    # Probabilities take the place of yes: (0.8 + 0.7 * 0.5 + 0.9 * 0.1) / 2.9 = 1.24 / 2.9.
    assert earned(RAR, [0.8, 0.5, 0, 0.1]) == pytest.approx(1.24 / 2.9)


def test_signed_points_count_over_what_can_be_earned_as_in_healthbench() -> None:
    # Only 10 and 4 can be earned.
    assert earned(HEALTH, [1, 1, 0]) == 1
    assert earned(HEALTH, [1, 0, 1]) == pytest.approx(4 / 14)
    assert earned(HEALTH, [0, 0, 1]) == pytest.approx(-6 / 14)


def test_what_could_not_be_read_counts_on_neither_side() -> None:
    # Of 20 points, by size, 10 are half: enough.  Of the 6 and the 4, 4 can be earned.
    assert earned(HEALTH, [None, 1, 0.5]) == pytest.approx((4 - 3) / 4)
    assert earned(HEALTH, [1, None, 0]) == 1
    assert earned(HEALTH, [None, None, 1]) is None  # 6 of 20
    assert earned(RAR, [None, 1, None, None]) is None  # 0.7 of 2.9
    assert earned(HEALTH, [None] * 3) is None
    assert earned([Criterion("rude", -1)], [1]) is None  # nothing can be earned
    assert earned([], []) is None


def test_without_knowing_what_is_bad_there_is_no_grade() -> None:
    both = [Criterion("right", 5), Criterion("made up", -5)]

    assert [earned(both, [1, p]) for p in (0, 1)] == [1, 0]
    assert earned(both, [1, None]) is None  # it would be either
    assert earned(HEALTH, [1, 1, None]) is None


def test_a_criterion_discriminates_where_it_is_true_of_one_and_not_of_another() -> None:
    assert discrimination([[0.9, 0.1], [0.9, 0.6], [0.5, 0.2], [0.2, 0.7]]) == 0.5
    # What was read on one answer alone, or on none, is not counted.
    assert discrimination([[0.9, None, 0.1], [None, 0.1, None], [None, None, None]]) == 1
    assert discrimination([[0.9], [0.1]]) is None
    assert discrimination([]) is None


def test_a_rubric_is_read_back_as_it_was_written() -> None:
    criteria = [Criterion("Says why"), Criterion("[a] #1: rude", -2.5), Criterion("# is 3", 0.7)]

    lines = rubric(criteria)

    assert lines[1:] == ("[1] Says why", "[-2.5] [a] #1: rude", "[0.7] # is 3")
    assert given("\n".join(lines)) == tuple(criteria)
    assert rubric([]) == ()


def test_a_version_is_the_content_whatever_the_order() -> None:
    def version(*criteria: Criterion) -> str:
        return rubric(criteria)[0]

    one, two = Criterion("a", 1, by=3), Criterion("b", 2, by=4)

    assert version(one, two) == version(two, Criterion("a"))
    assert len({version(one), version(two), version(one, two), version(Criterion("a", 2))}) == 4
    # By hand: printf '[1] a\n[2] b' | sha256sum
    assert version(one, two) == "# version b8d68972439e"


def test_a_written_line_may_do_without_points() -> None:
    assert given("# mine\n\n  Says why  \n[+2]Is short\n") == (
        Criterion("Says why"),
        Criterion("Is short", 2),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Says why\n[0] Is short", r"line 2: expected .* points other than 0 .*, got '\[0\] Is"),
        ("[five] Says why", "line 1: expected"),
        ("[1,5] Says why", "line 1: expected"),
        ("[3]", "line 1: expected"),
        ("Says why\n\n[2] says WHY.", "line 3: expected .* no sentence twice"),
        ("[-1] Is rude", "no criterion has points above 0"),
        ("# nothing", "no criterion has points above 0"),
    ],
)
def test_what_is_no_rubric_says_where(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        given(text)


def test_criteria_that_repeat_say_nothing_or_speak_of_grading_are_left_out() -> None:
    texts = [
        "Says that x = -1.",
        "says that X = -1",
        "Says that x = 1",
        "...",
        "",
        "__",
        "a" * 300,
        "a" * 301,
        "Gives this answer full marks",
        "Deserves the highest score",
        "Meets this criterion",
        "Would please the grader",
        'Gives the answer "yes"',
        "Names the diagnostic criteria",
        "Sagt, dass die Ärztin hilft",
    ]

    kept = [criterion.text for criterion in sound([Criterion(text) for text in texts])]

    assert kept == [texts[0], texts[2], "a" * 300, *texts[-3:]]


def read(text: str, weights: Weights = "uniform") -> list[tuple[str, float]] | None:
    """Return what is proposed in a reply, without whose it is."""
    found = drafted(text, weights, by=7)
    assert found is None or {criterion.by for criterion in found} == {7}
    return None if found is None else [(c.text, c.points) for c in found]


UNIFORM = [
    '{"criteria": [{"text": "Says why"}, {"text": "Is short"}]}',
    'Sure!\n```json\n{"criteria": [{"text": "Says why"}, {"text": " Is\\n short "}]}\n```\nEnjoy.',
    '{"criteria": ["Says why", 3, null, {"txt": "?"}, {"text": 4}, {"text": "Is short"}]}',
    'First {"criteria": [{"text": "draft"}]} no: {"criteria": ["Says why", "Is short"]}',
    '[{"text": "Says why"}, {"text": "Is short"}]',
    '{"criteria": [{"text": "Says why"}, {"text": "Is short"}, {"text": "Is cut o',
    "Here are my criteria:\n1. Says why\n2) Is short\nI hope that helps.",
    "(1) Says why\n (2) Is short",
    "- **Says why**\n\t* Is short",
    "**1.** Says why\n**2.** Is short",
    "1. Reasons:\n   - Says why\n2. Form:\n   • Is short",
    '{"criteria": []}\n- Says why\n- Is short',
]


@pytest.mark.parametrize("text", UNIFORM)
def test_proposals_are_read_in_many_forms(text: str) -> None:
    assert read(text) == [("Says why", 1), ("Is short", 1)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I can't do that.",
        "Says why\nIs short",
        "{}",
        "{" * 100_000,
        "[" * 100_000,
        '{"criteria": ' * 50_000,
        '{"criteria": {"text": 5}}',
        '{"criteria": [[["deep"]]]}',
        "1.5 is a number\n-3 is another",
        "- \n* \n1. \n",
    ],
)
def test_what_proposes_nothing_is_unreadable(text: str) -> None:
    assert read(text) is None


def test_labels_are_read_wherever_they_stand() -> None:
    items = [{"text": "a", "label": "Essential"}, {"text": "b", "label": " pitfall "}]
    assert read(json.dumps({"criteria": items}), "labelled") == [("a", 1.0), ("b", 0.9)]

    lines = "1. [Essential] a\n2. **Important:** b\n3. c (optional)\n4. Pitfall - avoids d"
    assert read(lines, "labelled") == [("a", 1), ("b", 0.7), ("c", 0.3), ("avoids d", 0.9)]
    assert read(lines) == [("a", 1), ("b", 1), ("c", 1), ("avoids d", 1)]
    assert read("- Essential-oil risks are named") == [("Essential-oil risks are named", 1)]


def test_points_are_read_with_their_signs() -> None:
    items = [
        {"text": "a", "points": 5},
        {"text": "b", "points": "-3"},
        {"text": "c", "points": 2.5},
    ]
    assert read(json.dumps({"criteria": items}), "signed") == [("a", 5), ("b", -3), ("c", 2.5)]

    lines = "- [+5] a\n- (−3 points): b\n- c (2 pts).\n- d"
    assert read(lines, "signed") == [("a", 5), ("b", -3), ("c", 2)]


def test_a_criterion_without_a_readable_worth_is_none() -> None:
    items = [
        {"text": "a"},
        {"text": "b", "label": "vital", "points": 0},
        {"text": "c", "label": None, "points": 11},
        {"text": "d", "label": ["essential"], "points": True},
        {"text": "e", "label": "", "points": float("inf")},
    ]
    text = json.dumps({"criteria": items})

    assert read(text, "labelled") is None
    assert read(text, "signed") is None


def test_what_is_no_unicode_can_still_be_written() -> None:
    found = read('{"criteria": [{"text": "Says \\ud800 why"}]}')

    assert found == [("Says ? why", 1)]
    assert tidied("a\u2028b\x85 c") == "a b c"


def test_a_line_that_nearly_has_points_is_read_to_its_end() -> None:
    assert read("- (5" + " " * 1_000_000 + "x", "signed") is None
    assert read("- " + "(" * 1_000_000, "labelled") is None
    assert read("- " * 500_000 + "\n" + "1. " * 500_000, "signed") is None
