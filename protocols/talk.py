"""Talk that may stand inside another protocol: what was answered there is then judged.

A script is a generator, so one is played inside another by `yield from`; nothing else is needed.
"""

from typing import Annotated

from pydantic import Field

from .asking import Wishes
from .consensus import Consensus
from .debate import Debate
from .reflection import Reflection
from .sample import Sample
from .synthesis import Synthesis
from .types import Outcome, Script, Turn

TalkChoice = Annotated[
    Sample | Consensus | Synthesis | Debate | Reflection, Field(discriminator="kind")
]


def played(script: Script) -> Wishes[tuple[list[Turn], Outcome]]:
    """Play `script` inside another one; return its turns beside its outcome."""
    turns: list[Turn] = []
    try:
        wishes = next(script)
        while True:
            said = yield wishes
            turns += said
            wishes = script.send(said)
    except StopIteration as end:
        return turns, end.value


def standing(turns: list[Turn]) -> list[Turn]:
    """Return the policies' last answers: each one's turns of the last round it spoke in."""
    last = {turn.agent.name: turn.round for turn in turns if turn.agent.role == "policy"}
    return [t for t in turns if t.agent.role == "policy" and t.round == last[t.agent.name]]
