"""Reflection: every policy answers, and looks at its own answer again: a debate without peers.

The control that a debate needs (Du et al., arXiv:2305.14325, call it single-agent reflection): how
much changes because one looks again, and how much because one hears others?
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Settings

from .consensus import VOTED, concluded
from .fence import exchange
from .sample import answers
from .types import Say, Script, Signal

AGAIN = """\
Your answer may be wrong. Check it, then answer the question again, in the form that it asks for."""


class Reflection(Settings):
    """Policies answer, check themselves and answer again; their last answers vote."""

    kind: Literal["reflection"] = "reflection"
    samples: int = Field(default=1, ge=1, le=10_000)
    """Conversations that each policy has with itself."""
    rounds: int = Field(default=2, ge=1, le=100)
    """How often it answers in each conversation."""
    prompt: str = Field(default=AGAIN, min_length=1)
    """What is asked after the first answer."""

    @property
    def yields(self) -> frozenset[Signal]:
        """What the vote of the last answers gives."""
        return VOTED

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one episode."""
        first = yield answers(task, people, self.samples)
        chats = [exchange(task.prompt, turn) for turn in first]
        own = [(turn.index,) for turn in first]
        turns, last = [*first], first
        for _ in range(1, self.rounds):
            last = yield [
                Say(turn.agent, self.prompt, heard, chat)
                for turn, heard, chat in zip(last, own, chats, strict=True)
            ]
            chats = [(*c, *exchange(self.prompt, t)) for c, t in zip(chats, last, strict=True)]
            own = [(*heard, turn.index) for heard, turn in zip(own, last, strict=True)]
            turns += last
        return concluded(task, first, last, turns)

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks."""
        return dict.fromkeys(people.playing("policy"), self.samples * self.rounds)
