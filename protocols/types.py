"""What an interaction leaves behind: turns, verdicts and an outcome.

A protocol is a generator.  It yields the utterances it wants next, a list at a time, is sent the
turns they became, and returns an `Outcome`.  It holds no state and calls no model, so a test can
drive it by hand, and the stage can replay it from the journal.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Literal
from typing import Protocol as Interface

from moot.agents.population import Agent, Population
from moot.agents.types import Completion, Prompt, Task


@dataclass(frozen=True, slots=True)
class Say:
    """A wish: `agent` is to answer `text`, having heard the turns `heard`."""

    agent: Agent
    text: str
    heard: tuple[int, ...] = ()
    before: Prompt = ()
    """What its prompt holds before the text: its own part of the conversation so far."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One utterance.  `heard` are the earlier turns in its prompt: the interaction graph."""

    index: int
    """Its place in the episode, from 0."""
    round: int
    """Which exchange of the episode it belongs to, from 0."""
    agent: Agent
    prompt: Prompt
    completion: Completion
    heard: tuple[int, ...]
    answer: str | None
    """The final answer it states, as the task's verifier reads it; `None`: it states none."""

    @property
    def text(self) -> str:
        """What was said."""
        return self.completion.text


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about turn `of`."""

    of: int
    kind: str
    """What was judged: `match` is whether its answer is the reference's."""
    score: float | None
    """In [0, 1]; `None` is unreadable, and never stands for a number."""
    by: int | None = None
    """The turn that judged; `None`: the protocol itself found it."""
    criterion: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a protocol concludes from its turns."""

    verdicts: tuple[Verdict, ...] = ()
    reference: str | None = None
    """The text of the synthesised reference, where there is one."""
    answer: str | None = None
    """The answer the population gives, as the verifier reads it; `None`: it gives none."""
    majority: str | None = None
    """What a vote of the answers gave that the reference was made from; `None`: the reference is
    that vote, or there was none."""
    rubric: tuple[str, ...] = ()
    notes: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    """What else was counted, e.g. {"tied": 1.0}; the cycle reports the mean of each."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One task, taken through one protocol."""

    id: str
    task: Task
    protocol: str
    turns: tuple[Turn, ...]
    outcome: Outcome

    @property
    def correct(self) -> bool | None:
        """Whether the population's answer is right; `None`: it gave none, or none is known."""
        return self.task.correct(self.outcome.answer)


Signal = Literal["reference"]
"""What a method may learn from: `reference` is one answer, and of each turn whether it matches."""

Script = Generator[list[Say], list[Turn], Outcome]


class Protocol(Interface):
    """The rules of one conversation: a frozen pydantic model whose fields are its YAML keys."""

    @property
    def kind(self) -> str:
        """Its name in YAML."""
        ...

    @property
    def yields(self) -> frozenset[Signal]:
        """What its outcomes hold that can be learnt from."""
        ...

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one episode."""
        ...

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return who speaks in one episode, and how many times at most.

        Raises:
            MootError: this population can't play the protocol.
        """
        ...
