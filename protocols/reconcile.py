"""ReConcile: a round table where confidence counts (Chen et al., arXiv:2309.13007).

Policies answer, and say how sure they are.  While they differ, all read the answers, grouped, and
answer again; the last answers vote, by confidence recalibrated as in the paper.  How confidence is
asked for is told in confidence.py; it is not asked for where all agree.  Left out: the paper's
convincing samples are each agent's own, found by trying them on the others; here they are given,
and alike for all.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from moot.agents.population import Agent, Population, acting
from moot.agents.task import Task
from moot.agents.types import Settings

from .asking import TRIES
from .confidence import Confidence, by_confidence, confidences
from .consensus import VOTED, concluded, unweighed
from .fence import fenced, filled
from .sample import answers
from .types import Say, Script, Signal, Turn
from .voting import plurality

DISCUSS = """\
{convincing}Question: {question}

{groups}

These are answers of {n} agents to the question, each with how sure that agent is of it, from 0 to \
1. Some may be wrong. Weigh their reasons against each other and answer the question, in the form \
that it asks for."""

GROUP = "These {n} agree on their answer:"
ALONE = "This one agrees with no other:"
EACH = "{answer}\nConfidence: {confidence}"
UNKNOWN = "not known"

CONVINCING = "Question: {question}\n{reasoning}\nAnswer: {answer}\n\n"


class Convincing(Settings):
    """An answer that is known to convince others."""

    question: str
    """What was asked."""
    reasoning: str
    """Why the answer is right."""
    answer: str
    """The answer."""


class ReConcile(Settings):
    """Policies answer, read the grouped answers and answer again; confidence weighs their votes."""

    kind: Literal["reconcile"] = "reconcile"
    rounds: int = Field(default=2, ge=1, le=100)
    """The most times that each policy answers, the first time without having read others; it ends
    earlier if all readable answers are the same."""
    convincing: tuple[Convincing, ...] = ()
    """Convincing answers to other questions, shown before a discussion."""

    @property
    def yields(self) -> frozenset[Signal]:
        """What the vote at the end gives."""
        return VOTED

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one round table."""
        first = last = yield answers(task, people, 1)
        turns, held = [*first], 1
        while plurality(None, [turn.answer for turn in last]).share != 1:
            sure = yield from confidences(last)
            if held == self.rounds:
                weights = by_confidence(last, sure)
                notes = {"rounds": float(held), **unweighed(last, weights)}
                return concluded(task, first, last, turns, weights, **notes)
            last = yield self._discussion(task, people, last, sure)
            turns += last
            held += 1
        return concluded(task, first, last, turns, rounds=float(held))

    def _discussion(
        self, task: Task, people: Population, last: Sequence[Turn], sure: Mapping[int, Confidence]
    ) -> list[Say]:
        """Return the wishes for another round; who gave no readable answer isn't heard."""
        read = [turn for turn in last if turn.answer is not None]
        if not read:
            return answers(task, people, 1)
        order = task.shuffled(read, "reconcile", read[0].round)
        text = filled(
            DISCUSS,
            convincing="".join(filled(CONVINCING, **one.model_dump()) for one in self.convincing),
            question=task.prompt,
            groups="\n\n".join(grouped(order, sure)),
            n=str(len(order)),
        )
        heard = {turn.index for turn in order} | {one.by for one in sure.values()}
        places = tuple(sorted(heard))
        return [Say(policy, text, places) for policy in people.playing("policy")]

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks at most."""
        policies = people.playing("policy")
        most = dict.fromkeys(policies, self.rounds)
        return most | {acting(policy, "judge"): TRIES * self.rounds for policy in policies}


def grouped(order: Sequence[Turn], sure: Mapping[int, Confidence]) -> list[str]:
    """Return the answers as they are shown: each group of equal ones, each with its confidence."""
    groups: dict[str | None, list[str]] = {}
    for number, turn in enumerate(order, 1):
        stated = f"{sure[turn.index].stated:.1f}" if turn.index in sure else UNKNOWN
        shown = filled(EACH, answer=fenced("answer", turn.text, number), confidence=stated)
        groups.setdefault(turn.answer, []).append(shown)
    return [
        "\n".join([filled(GROUP, n=str(len(some))) if len(some) > 1 else ALONE, *some])
        for some in groups.values()
    ]
