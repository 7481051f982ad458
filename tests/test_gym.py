"""Data sets of Reasoning Gym as tasks."""

from pathlib import Path
from typing import Any

import pytest

from moot.agents.errors import MootError
from moot.experiments.tasks.gym import ReasoningGym
from moot.experiments.tasks.harmless import harmless
from moot.experiments.tasks.split import content


def gym(dataset: str, **fields: Any) -> ReasoningGym:
    small: dict[str, Any] = {"held_out": 4, "per_cycle": 4, "size": 12}
    return ReasoningGym(dataset=dataset, **{**small, **fields})


def test_a_data_set_gives_the_same_questions_for_the_same_seed() -> None:
    source = gym("chain_sum", options={"min_terms": 2, "max_terms": 2}, template="{prompt} ?")

    one, other = source.load(1), source.load(1)

    assert [t.prompt for t in one.train] == [t.prompt for t in other.train]
    assert [t.prompt for t in one.train] != [t.prompt for t in source.load(2).train]
    assert (len(one.train), len(one.held_out)) == (8, 4)
    assert all(t.prompt.endswith(" ?") for t in one.train)


@pytest.mark.parametrize(
    "dataset",
    ["chain_sum", "gsm_symbolic", "syllogism", "knights_knaves", "countdown", "number_sorting"],
)
def test_a_data_set_finds_its_own_answers_right_and_others_wrong(dataset: str) -> None:
    for one in gym(dataset).load(0).train:
        assert one.answer
        read = one.verifier.read(f"I thought. The answer is {one.answer}")
        assert one.correct(read)
        assert not one.correct(one.verifier.read("the answer is 123456789"))


def test_numbers_are_read_as_numbers_where_all_answers_are() -> None:
    sum_, syllogism = (
        gym("chain_sum").load(0).train[0],
        gym("syllogism").load(0).train[0],
    )

    assert sum_.verifier.read("1 + 1 = 2.") == "2"
    assert syllogism.verifier.read("Answer: Yes.") == "Yes"


def test_a_data_set_without_answers_has_its_rule() -> None:
    one = gym("propositional_logic").load(0).train[0]
    example = one.verifier.entry["metadata"]["example_answer"]  # pyright: ignore[reportAttributeAccessIssue]

    assert one.correct(one.verifier.read(example)) is True
    assert one.correct("not a formula") is False


def test_repeated_questions_are_left_out_and_counted() -> None:
    options = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}

    split = gym("chain_sum", options=options, size=60).load(0)

    assert len({content(t.prompt) for t in (*split.train, *split.held_out)}) == 60
    assert split.dropped > 0


@pytest.mark.parametrize(
    ("dataset", "fields", "error"),
    [
        ("chain_sums", {}, "reasoning_gym has no data set 'chain_sums'; did you mean 'chain_sum'?"),
        (
            "chain_sum",
            {"options": {"terms": 2}},
            "chain_sum has no 'terms'; did you mean 'min_terms'?",
        ),
        ("chain_sum", {"options": {"min_terms": 0}}, "chain_sum: min_terms must be positive"),
        ("chain_sum", {"options": {"seed": 1}}, "options: seed is set by Moot"),
        (
            "chain_sum",
            {"size": 600, "options": {"min_terms": 2, "max_terms": 2, "max_digits": 1}},
            r"gave only \d+ different questions in 12000 tries; set size: \d+ or less",
        ),
        ("chain_sum", {"held_out": 10}, "12 different questions are too few for held_out: 10"),
    ],
)
def test_what_a_data_set_can_not_give_is_told(
    dataset: str, fields: dict[str, Any], error: str
) -> None:
    with pytest.raises(MootError, match=error):
        gym(dataset, **fields).load(0)


@pytest.mark.parametrize(
    "answer",
    ["7", "-7", "94*4 - 61 - 6", "2*x**3 - sin(x)/4 + C", "[[0, 1], [1, 0]]", "['A', 'B']", "Yes",
     "Amelia is a hero (surely), and Bob is a knave", "P ∧ ¬Q", "x**-2", ""],
)  # fmt: skip
def test_an_honest_answer_is_scored(answer: str) -> None:
    assert harmless(answer)


@pytest.mark.parametrize(
    "answer",
    ["__import__('os').system('true')", "[].__class__", "9**9**9", "(9**99)**99", "9**999",
     "[0]*10**9", "'a'*10**9", "9999999!", "exit() + 5!", "exit() != 5!", "(lambda: 0)()",
     "[x for x in y]", "1 << 10**9", "f'{x}'", "open('x')", " exit()", "2**-(-9**9)"],
)  # fmt: skip
def test_code_in_an_answer_is_never_evaluated(answer: str) -> None:
    assert not harmless(answer)


@pytest.mark.parametrize("dataset", ["countdown", "spiral_matrix", "simple_integration"])
def test_code_in_an_answer_scores_nothing(dataset: str, tmp_path: Path) -> None:
    one = gym(dataset).load(0).train[0]
    file = tmp_path / "made"

    assert one.correct(f"__import__('pathlib').Path({str(file)!r}).touch()") is False
    assert not file.exists()
