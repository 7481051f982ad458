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
def reflection() -> Any:
    """The class of the first code block of the page."""
    block = re.findall(r"^```python\n(.*?)^```$", DOC, re.DOTALL | re.MULTILINE)[0]
    module: dict[str, Any] = {"__name__": "reflection"}
    exec(compile(block, "reflection.py", "exec"), module)
    return module["Reflection"]


def test_the_protocol_of_the_docs_conforms(reflection: Any) -> None:
    check(reflection())


def test_it_asks_everyone_twice_and_the_second_answers_vote(reflection: Any) -> None:
    people = Population(tuple(Agent(f"p{i}", "policy", "main") for i in range(3)))

    episode = rehearse(
        reflection(), people, lambda turn, say: ["41", "41", "42", "42", "42", "?"][turn]
    )

    assert [turn.heard for turn in episode.turns] == [(), (), (), (0,), (1,), (2,)]
    assert (episode.outcome.answer, episode.outcome.majority) == ("42", "41")


def test_one_line_puts_it_into_the_experiment_file(reflection: Any) -> None:
    line: Any = Annotated[ProtocolChoice | reflection, Field(discriminator="kind")]

    found = TypeAdapter(line).validate_python({"kind": "reflection", "prompt": "Sure?"})

    assert isinstance(found, reflection)
