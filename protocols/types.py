"""What an interaction leaves behind: turns, verdicts and an outcome.

A protocol is a generator.  It yields the utterances it wants next, a list at a time, is sent the
turns they became, and returns an `Outcome`.  It holds no state and calls no model, so a test can
drive it by hand, and the stage can replay it from the journal.
"""

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from typing import Protocol as Interface

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Completion, Prompt


@dataclass(frozen=True, slots=True)
class Say:
    """A wish: `agent` is to answer `text`, having heard the turns `heard`."""

    agent: Agent
    text: str
    heard: tuple[int, ...] = ()
    before: Prompt = ()
    """What its prompt holds before the text: its own part of the conversation so far."""
    choices: tuple[str, ...] = ()
    """The reply is one of these (see `Request.choices`); empty: it is free."""
    shape: str = ""
    """A JSON Schema that the reply is to follow (see `Request.shape`); empty: it is free."""
    verdict: bool = False
    """Whether a verdict on the only choice is wanted (see `Request.verdict`)."""


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
    """The final answer to the task that it states, as the verifier reads it; `None`: it states
    none, or it was asked for something else: one of some choices, or a reply of some shape."""

    @property
    def text(self) -> str:
        """What was said."""
        return self.completion.text


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about turn `of`."""

    of: int
    kind: str
    """What was judged: `match` is whether its answer is the reference's; `preference` how likely it
    is better than the turn `over`; `grade` how good it is; `criterion` whether it meets one;
    `weight` how much its answer counts in a vote that weighs them."""
    score: float | None
    """In [0, 1]; `None` is unreadable, of a weight untold, and never stands for a number."""
    by: int | None = None
    """The turn that judged; `None`: the protocol itself found it, from others' verdicts perhaps."""
    criterion: str | None = None
    over: int | None = None
    """The turn that it was compared with, where there is one.  A judge's own verdict is about the
    one that it was shown first, over the one it was shown second."""
    behind: tuple[int, ...] = ()
    """Of what the protocol found from some judges' verdicts: their turns; empty: from all there
    are."""


def grades(verdicts: Iterable[Verdict]) -> dict[int, float]:
    """Return the panel's grade of each turn that it could grade; equals are equal floats."""
    panel = [v for v in verdicts if v.kind == "grade" and v.by is None]
    return {v.of: round(v.score, 9) for v in panel if v.score is not None}


@dataclass(frozen=True, slots=True)
class Preference:
    """One turn's words are better than another's, as replies to what a third was asked."""

    asked: int
    """The turn whose prompt both reply to; often one of the two."""
    chosen: int
    rejected: int
    probability: float = 1.0
    """How likely the chosen one is the better one, in [0.5, 1]."""
    by: tuple[int, ...] = ()
    """The turns that judged."""


Held = Literal["generator", "critic_kept", "critic_corrected", "revision", "debater"]
"""What protocols hold up examples of."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What one turn said is a good reply to what another (or itself) was asked."""

    asked: int
    """The turn whose prompt it replies to."""
    said: int
    """The turn whose words they are."""
    name: Held
    """What it is an example of."""


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
    preferences: tuple[Preference, ...] = ()
    demonstrations: tuple[Demonstration, ...] = ()
    notes: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    """What else was counted, e.g. {"tied": 1.0}; the cycle reports the mean of each."""
    source: int | None = None
    """The turn that said the reference, or whose reply it was read from."""


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

    @property
    def referred(self) -> Turn | None:
        """The turn whose words the reference is; `None`: it is no turn's, or there is none."""
        at, reference = self.outcome.source, self.outcome.reference
        return None if at is None or self.turns[at].text != reference else self.turns[at]


Signal = Literal["reference", "grades", "preferences", "demonstrations"]
"""What a method may learn from.

`reference` is one answer, and `match` verdicts that say of turns whether they give it; `grades` are
`grade` verdicts by no turn in particular; the others are the outcome's."""

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
