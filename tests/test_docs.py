"""The protocol that the docs write conforms, runs, and is all there is to do."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter

from moot.agents.population import Agent, Population
from moot.protocols import ProtocolChoice
from moot.protocols.conformance import check, rehearse

DOC = (Path(__file__).parents[1] / "docs" / "writing-a-protocol.md").read_text()


BLOCKS = re.findall(r"^```python\n(.*?)^```$", DOC, re.DOTALL | re.MULTILINE)


def defined(block: str, name: str, **there: Any) -> Any:
    """What a code block of the page defines, in a module where so much is `there`."""
    module: dict[str, Any] = {"__name__": "page", **there}
    exec(compile(block, "page.py", "exec"), module)
    return module[name]


@pytest.fixture(scope="module")
def relay() -> Any:
    """The class of the first code block of the page."""
    return defined(BLOCKS[0], "Relay")


def test_the_verifier_of_the_docs_reads_what_it_reads_as_the_same() -> None:
    word = defined(BLOCKS[-1], "Word", re=re, dataclass=dataclass)()

    assert [word.read(text) for text in ("It is a Cat.", "cat", "4", "")] == [
        "cat",
        "cat",
        None,
        None,
    ]
    assert (word.score("cat", "The Cat"), word.score("cat", "dog")) == (1, 0)


def test_the_protocol_of_the_docs_conforms(relay: Any) -> None:
    check(relay())
    check(relay(laps=2))


def test_it_lets_one_speak_after_the_other_and_the_last_for_all(relay: Any) -> None:
    people = Population(tuple(Agent(f"p{i}", "policy", "main") for i in range(3)))

    episode = rehearse(relay(), people, lambda turn, say: ["41", "43", "42"][turn])

    assert [turn.heard for turn in episode.turns] == [(), (0,), (1,)]
    assert "43" in episode.turns[2].prompt[-1].content
    assert (episode.outcome.answer, episode.outcome.majority) == ("42", "41")


def test_one_line_puts_it_into_the_experiment_file(relay: Any) -> None:
    line: Any = Annotated[ProtocolChoice | relay, Field(discriminator="kind")]

    found = TypeAdapter(line).validate_python({"kind": "relay", "laps": 2})

    assert isinstance(found, relay)
