"""Consensus: every policy answers alone, and the answers vote (arXiv:2203.11171)."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from moot.agents.population import Agent, Population
from moot.agents.types import Settings, Task

from .sample import answers
from .types import Outcome, Script, Signal, Turn, Verdict
from .voting import plurality


class Consensus(Settings):
    """The answer given most often is the population's answer and its reference.

    Unreadable answers abstain; a tie goes to the answer given first; if nobody gave a readable
    answer there is no reference, and the episode teaches nothing.
    """

    kind: Literal["consensus"] = "consensus"
    samples: int = Field(default=1, ge=1, le=10_000)
    """Answers from each policy."""
    quorum: float = Field(default=0.0, ge=0, le=1)
    """The least share of the readable answers that a winner needs; below it there is none."""

    @property
    def yields(self) -> frozenset[Signal]:
        """The majority's answer."""
        return frozenset({"reference"})

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one vote."""
        turns = yield answers(task, people, self.samples)
        vote = plurality([turn.answer for turn in turns])
        won = vote.winner if vote.share is not None and vote.share >= self.quorum else None
        return Outcome(
            verdicts=matches(turns, won) if won is not None else (),
            reference=next((t.text for t in turns if won is not None and t.answer == won), None),
            answer=won,
            notes={"tied": float(vote.tied)},
        )

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks."""
        return dict.fromkeys(people.playing("policy"), self.samples)


def concluded(
    first: Sequence[Turn], last: Sequence[Turn], turns: Sequence[Turn], **notes: float
) -> Outcome:
    """Return what a vote of the last answers gives, beside what one of the first would have.

    Args:
        first: what was answered before anything was heard.
        last: the answers that stand.
        turns: all answers, each to be graded.
        notes: what else was counted.
    """
    vote = plurality([turn.answer for turn in last])
    won = vote.winner
    return Outcome(
        verdicts=matches(turns, won) if won is not None else (),
        reference=next((t.text for t in last if won is not None and t.answer == won), None),
        answer=won,
        majority=plurality([turn.answer for turn in first]).winner,
        notes={"tied": float(vote.tied), **notes},
    )


def matches(turns: Sequence[Turn], reference: str, by: int | None = None) -> tuple[Verdict, ...]:
    """Return, for each turn, whether its answer is `reference`; unreadable ones are `None`."""
    return tuple(
        Verdict(t.index, "match", None if t.answer is None else float(t.answer == reference), by)
        for t in turns
    )
