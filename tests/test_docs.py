"""The protocols that the docs write conform, run, and are all there is to do."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from own_code import page
from pydantic import Field, TypeAdapter, ValidationError

from moot.agents.errors import MootError
from moot.agents.population import Agent, Population
from moot.experiments.tasks.table import Inline, Item
from moot.protocols import ProtocolChoice
from moot.protocols.conformance import PEOPLE, TASK, check, rehearse
from moot.protocols.judged import Judged
from moot.protocols.types import Preference, Say
from moot.protocols.verifier_conformance import check_verifier
from moot.training.methods.ttrl import TTRL


def defined(block: str, name: str) -> Any:
    """What a code block of the docs defines."""
    module: dict[str, Any] = {"__name__": "page"}
    exec(compile(block, "page.py", "exec"), module)
    return module[name]


@pytest.fixture(scope="module")
def relay() -> Any:
    """The class of the first code block of the page."""
    return defined(page("class Relay"), "Relay")


def test_the_verifier_of_the_docs_reads_what_it_reads_as_the_same() -> None:
    block = page("class Word")
    word = defined(block, "Word")()

    assert [word.read(text) for text in ("It is a Cat.", "cat", "4", "")] == [
        "cat",
        "cat",
        None,
        None,
    ]
    assert (word.score("cat", "The Cat"), word.score("cat", "dog")) == (1, 0)
    check_verifier(word, {"It is a Cat.": "cat", "a dog": "cat"})


@pytest.fixture(scope="module")
def tests() -> Any:
    """The verifier of the page that runs code."""
    return defined(page("class Tests"), "Tests")()


def test_the_page_s_verifier_of_code_runs_it_and_its_tests(tests: Any) -> None:
    right = "def add(a, b):\n    return a + b"
    known = "assert add(1, 2) == 3\nassert add(0, 0) == 0"

    assert tests.read(f"So:\n```python\n{right}\n```\nDone.") == tests.read(right) == right
    assert (tests.read("I can't."), tests.known("3"), tests.known(known)) == (None, None, known)
    check_verifier(tests, {right: known, right.replace("+", "-"): known})
    assert tests.score(right, known) == 1
    for wrong in (right.replace("+", "-"), "def add(a", "def add: \0", "def \ud800", "exit(0)"):
        assert tests.score(wrong, known) == 0


def test_tests_of_code_are_known_answers_though_they_are_no_answers(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(page("class Tests"))
    named = f"{tmp_path / 'code.py'}:Tests"

    def items(*answers: str) -> Inline:
        each = tuple(Item(prompt=f"add {i % 2}", answer=answer) for i, answer in enumerate(answers))
        return Inline(items=each, verifier=named, held_out=1, per_cycle=1)

    known = ("assert add(1, 2) == 3", "assert add(2, 2) == 4")

    split = items(*known, f" {known[0]}\n").load(0)
    assert sorted(str(task.answer) for task in (*split.train, *split.held_out)) == [*known]
    assert split.dropped == 1
    with pytest.raises(
        MootError, match=r"items\.1: the answer '3' can't be read by verifier .*code\.py:Tests"
    ):
        items(known[0], "3").load(0)
    with pytest.raises(MootError, match="is there with the answer 'assert add"):
        items(*known, known[1]).load(0)


def test_the_protocol_of_the_docs_conforms(relay: Any) -> None:
    check(relay())
    check(relay(laps=2))


def test_it_lets_one_speak_after_the_other_and_the_last_for_all(relay: Any) -> None:
    people = Population(tuple(Agent(f"p{i}", "policy", "main") for i in range(3)))

    episode = rehearse(relay(), people, lambda turn, say: ["41", "43", "42"][turn])

    assert [turn.heard for turn in episode.turns] == [(), (0,), (1,)]
    assert "43" in episode.turns[2].prompt[-1].content
    assert (episode.outcome.answer, episode.outcome.majority) == ("42", "41")


def test_what_is_put_into_its_prompt_is_filled_in_once(relay: Any) -> None:
    people = Population(tuple(Agent(f"p{i}", "policy", "main") for i in range(2)))
    task = replace(TASK, prompt="What is {answer}?")

    episode = rehearse(relay(), people, lambda turn, say: "42", task)

    assert episode.turns[1].prompt[-1].content.startswith("What is {answer}?")


@pytest.fixture(scope="module")
def review() -> Any:
    """The class of the page's section on critics and judges."""
    return defined(page("class Review"), "Review")


def test_the_review_of_the_docs_conforms(review: Any) -> None:
    check(review())


def test_its_critiques_are_no_answers(review: Any) -> None:
    episode = rehearse(review(), PEOPLE, lambda turn, say: say.choices[0] if say.choices else "42")

    assert [turn.agent.role for turn in episode.turns[:12]] == [
        *["policy"] * 4,
        *["critic"] * 4,
        *["policy"] * 4,
    ]
    assert {rollout.turn for rollout in TTRL().examples(episode)} == {0, 1, 2, 3, 8, 9, 10, 11}


def test_its_judges_prefer_by_what_they_see_and_not_by_its_place(review: Any) -> None:
    people = Population((*PEOPLE.playing("policy")[:2], PEOPLE.playing("judge")[0]))

    def place(turn: int, say: Say) -> str:
        return say.choices[0] if say.choices else f"{40 + turn}"

    def higher(turn: int, say: Say) -> str:
        if not say.choices:
            return f"{40 + turn}"
        return "2" if say.text.index("44") < say.text.index("45") else "1"

    assert rehearse(review(), people, place).outcome.preferences == ()
    found = rehearse(review(), people, higher).outcome
    assert found.preferences == (Preference(1, 5, 4, 1.0, (6, 7)),)
    assert found.answer == "45"
    assert [(v.of, v.over, v.score) for v in found.verdicts if v.by in (6, 7)] == [
        (4, 5, 0.0),
        (5, 4, 1.0),
    ]


def test_its_words_are_judged_by_a_judging_of_the_docs(relay: Any) -> None:
    judging = defined(page("class YesNo"), "YesNo")

    check(Judged(judging=judging()))
    check(Judged(talk=relay(laps=2), judging=judging(ask="Is it short?")))
    with pytest.raises(ValidationError):
        Judged(talk=judging())


def test_one_line_puts_it_into_the_experiment_file(relay: Any) -> None:
    line: Any = Annotated[ProtocolChoice | relay, Field(discriminator="kind")]

    found = TypeAdapter(line).validate_python({"kind": "relay", "laps": 2})

    assert isinstance(found, relay)
