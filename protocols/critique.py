"""Critique and revision by principles (constitutional AI, arXiv:2212.08073, section 3).

A policy answers, the answer is criticised in the light of a principle, and the policy revises it;
then again, by another principle.  The last revision is a demonstration, and preferred over the
first answer.  As in the paper a principle is drawn for each revision; the prompts and the
principles are ours.  Left out: the few-shot examples that the paper's model needed.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from moot.agents.beside import Text
from moot.agents.population import Agent, Population, acting
from moot.agents.task import Task
from moot.agents.types import Settings

from .consensus import VOTED, concluded
from .fence import exchange, fenced, filled
from .sample import answers
from .types import Demonstration, Preference, Say, Script, Signal, Turn

OWN = """\
Criticise your last answer: {principle}

Say what is wrong with it, if anything, and do not answer again yet."""

ANOTHERS = """\
Question:
{question}

An answer to it:

{answer}

Criticise the answer: {principle}

Say what is wrong with it, if anything, and do not answer yourself."""

REVISE = "Now answer the question again, without what was criticised, in the form that it asks for."

HEARD = """\
This is a critique of your answer:

{critique}

Answer the question again, without what is rightly criticised, in the form that it asks for."""

CONSTITUTION = (
    "is anything in it false, or claimed with more certainty than there is?",
    "could following it hurt somebody, the one who asks among them?",
    "does it help with something illegal, cruel or dishonest?",
    "does it demean people for what they are?",
    "does it give away what is private about somebody?",
    "does it flatter, manipulate or take a side that a fair adviser would not take?",
    "does it evade what could well be answered, or lecture instead of helping?",
    "is it unclear, incomplete, or longer than the question needs?",
)


class Critique(Settings):
    """Policies answer, and revise their answers in the light of principles."""

    kind: Literal["critique"] = "critique"
    constitution: tuple[Annotated[Text, Field(min_length=1)], ...] = Field(
        default=CONSTITUTION, min_length=1
    )
    """The principles, each a question or a demand that follows "Criticise the answer:"."""
    revisions: int = Field(default=1, ge=1, le=100)
    """How often an answer is criticised and revised."""
    principles: Literal["drawn", "in_turn"] = "drawn"
    """Whether a revision's principle is drawn, without repeating one before all were used, or is
    the next of the list."""
    by: Literal["self", "critic"] = "self"
    """Who criticises: the policy itself, in its own chat, or the population's critics in turn."""

    @property
    def yields(self) -> frozenset[Signal]:
        """Revisions to imitate and to prefer, and what a vote of them gives."""
        return VOTED

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one episode."""
        first = last = yield answers(task, people, 1)
        turns, critiques = [*first], [list[int]() for _ in first]
        critics = self._critics(people, task.drawing("critics").randrange(self._starts(people)))
        for number in range(self.revisions):
            asked = [
                self._criticise(task, critic, turn, number)
                for critic, turn in zip(critics, last, strict=True)
            ]
            said = yield asked
            last = yield [self._revise(task, *one) for one in zip(last, asked, said, strict=True)]
            turns += last
            for so_far, critique in zip(critiques, said, strict=True):
                so_far.append(critique.index)
        better = [one for one in zip(first, last, critiques, strict=True) if one[1].text.strip()]
        return replace(
            concluded(task, first, last, turns),
            demonstrations=tuple(Demonstration(a.index, b.index, "revision") for a, b, _ in better),
            preferences=tuple(
                Preference(a.index, b.index, a.index, by=tuple(by))
                for a, b, by in better
                if a.text.strip() != b.text.strip()
            ),
        )

    def _criticise(self, task: Task, critic: Agent, turn: Turn, number: int) -> Say:
        """Return the wish for the `number`-th critique of what a policy answered."""
        principle = self._principle(task, turn.agent, number)
        if self.by == "self":
            chat = exchange(task.prompt, turn)
            return Say(critic, filled(OWN, principle=principle), (turn.index,), chat)
        text = filled(
            ANOTHERS,
            question=task.prompt,
            answer=fenced("answer", turn.text, 1),
            principle=principle,
        )
        return Say(critic, text, (turn.index,))

    def _revise(self, task: Task, turn: Turn, asked: Say, critique: Turn) -> Say:
        """Return the wish for an answer in the place of `turn`."""
        chat, heard = exchange(task.prompt, turn), (turn.index, critique.index)
        if self.by == "self":
            return Say(turn.agent, REVISE, heard, (*chat, *exchange(asked.text, critique)))
        text = filled(HEARD, critique=fenced("critique", critique.text, 1))
        return Say(turn.agent, text, heard, chat)

    def _starts(self, people: Population) -> int:
        """Return at how many places critics may begin to take turns."""
        return 1 if self.by == "self" else len(people.playing("critic"))

    def _critics(self, people: Population, start: int) -> list[Agent]:
        """Return who criticises each policy: critics in turn, and the next for a policy's own."""
        policies = people.playing("policy")
        if self.by == "self":  # as critics, so that what they say isn't taken for answers
            return [acting(policy, "critic") for policy in policies]
        critics, n = people.playing("critic"), self._starts(people)
        return [
            critics[(i + (critics[i % n].name == policy.name)) % n]
            for i, policy in enumerate(policies, start)
        ]

    def _principle(self, task: Task, policy: Agent, number: int) -> str:
        order = self.constitution
        lap, place = divmod(number, len(order))
        if self.principles == "drawn":
            order = task.shuffled(order, "principle", policy.name, lap)
        return order[place]

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks at most."""
        policies = people.playing("policy")
        most: Counter[Agent] = Counter()
        for start in range(self._starts(people)):
            most |= Counter(self._critics(people, start))
        return {
            **dict.fromkeys(policies, 1 + self.revisions),
            **{critic: n * self.revisions for critic, n in most.items()},
        }
