"""The protocol that the docs write conforms, runs, and is all there is to do."""

import re
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter

from moot.agents.population import Agent, Population
from moot.protocols import ProtocolChoice
from moot.protocols.conformance import check, rehearse

DOC = (Path(__file__).parents[1] / "docs" / "writing-a-protocol.md").read_text()


@pytest.fixture(scope="module")
def relay() -> Any:
    """The class of the first code block of the page."""
    block = re.findall(r"^```python\n(.*?)^```$", DOC, re.DOTALL | re.MULTILINE)[0]
    module: dict[str, Any] = {"__name__": "relay"}
    exec(compile(block, "relay.py", "exec"), module)
    return module["Relay"]


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
