"""Critique and revision by principles (constitutional AI, arXiv:2212.08073, section 3).

A policy answers, the answer is criticised in the light of a principle, and the policy revises it;
then again, by another principle.  The last revision is a demonstration, and preferred over the
first answer.  As in the paper a principle is drawn for each revision; the prompts and the
principles are ours.  Left out: the few-shot examples that the paper's model needed.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Literal

from pydantic import Field

from moot.agents.beside import Text
from moot.agents.population import Agent, Population, acting
from moot.agents.types import Prompt, Settings, Task

from .consensus import VOTED, concluded
from .fence import exchange, fenced, filled
from .sample import answers
from .types import Demonstration, Preference, Say, Script, Signal, Turn

OWN = """\
Criticise your last answer: {principle} Say what is wrong with it, if anything, and do not answer \
again yet."""

ANOTHERS = """\
Question:
{question}

An answer to it:

{answer}

Criticise the answer: {principle} Say what is wrong with it, if anything, and do not answer \
yourself."""

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
    constitution: tuple[Text, ...] = Field(default=CONSTITUTION, min_length=1)
    """The principles, each a question or a demand that follows "Criticise the answer:"."""
    revisions: int = Field(default=1, ge=1, le=100)
    """How often an answer is criticised and revised."""
    principles: Literal["drawn", "in_turn"] = "drawn"
    """Whether a revision's principle is drawn by the task, without repeating one before all were
    used, or is the next of the list."""
    by: Literal["self", "critic"] = "self"
    """Who criticises: the policy itself, in its own chat, or the population's critics in turn."""

    @property
    def yields(self) -> frozenset[Signal]:
        """Revisions to imitate and to prefer, and what a vote of them gives."""
        return VOTED

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one episode."""
        first = yield answers(task, people, 1)
        last, critiques = first, {turn.agent: list[int]() for turn in first}
        turns = [*first]
        for number in range(self.revisions):
            principles = [self._principle(task, turn.agent, number) for turn in first]
            last, said = yield from self._revised(task, people, last, principles)
            for revision, critique in zip(last, said, strict=True):
                critiques[revision.agent].append(critique.index)
            turns += last
        better = [(a, b) for a, b in zip(first, last, strict=True) if b.text.strip()]
        return replace(
            concluded(first, last, turns),
            demonstrations=tuple(Demonstration(a.index, b.index, "revision") for a, b in better),
            preferences=tuple(
                Preference(a.index, b.index, a.index, by=tuple(critiques[a.agent]))
                for a, b in better
                if a.text.strip() != b.text.strip()
            ),
        )

    def _revised(
        self, task: Task, people: Population, standing: Sequence[Turn], principles: Sequence[str]
    ) -> Generator[list[Say], list[Turn], tuple[list[Turn], list[Turn]]]:
        """Return the revisions of the answers that stand, and the critiques behind them."""
        chats = [exchange(task.prompt, turn) for turn in standing]
        asked = [
            self._criticise(task, people, i, turn, principle, chats[i])
            for i, (turn, principle) in enumerate(zip(standing, principles, strict=True))
        ]
        critiques = yield asked
        revise = [
            self._revise(turn, say, critique, chat)
            for turn, say, critique, chat in zip(standing, asked, critiques, chats, strict=True)
        ]
        return (yield revise), critiques

    def _criticise(
        self, task: Task, people: Population, i: int, turn: Turn, principle: str, chat: Prompt
    ) -> Say:
        if self.by == "self":
            who = acting(turn.agent, "critic")  # so that it isn't taken for an answer
            return Say(who, filled(OWN, principle=principle), (turn.index,), chat)
        critics = people.playing("critic")
        text = filled(
            ANOTHERS,
            question=task.prompt,
            answer=fenced("answer", turn.text, 1),
            principle=principle,
        )
        return Say(critics[i % len(critics)], text, (turn.index,))

    def _revise(self, turn: Turn, asked: Say, critique: Turn, chat: Prompt) -> Say:
        heard = (turn.index, critique.index)
        if self.by == "self":
            return Say(turn.agent, REVISE, heard, (*chat, *exchange(asked.text, critique)))
        text = filled(HEARD, critique=fenced("critique", critique.text, 1))
        return Say(turn.agent, text, heard, chat)

    def _principle(self, task: Task, agent: Agent, number: int) -> str:
        order = list(self.constitution)
        if self.principles == "drawn":
            lap = number // len(order)
            Random(f"principle/{task.id}/{agent.name}/{lap}").shuffle(order)
        return order[number % len(order)]

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks."""
        policies = people.playing("policy")
        most = dict.fromkeys(policies, 1 + self.revisions)
        if self.by == "self":
            return {**most, **{acting(p, "critic"): self.revisions for p in policies}}
        critics = people.playing("critic")
        each = {critic: len(policies[i :: len(critics)]) for i, critic in enumerate(critics)}
        return {**most, **{critic: n * self.revisions for critic, n in each.items() if n}}
