"""Synthesis: a frozen anchor writes one reference from what the policies answered.

The estimator of Compute as Teacher (arXiv:2509.14234, section 3).  The paper's prompts were not
published; these are ours.  As in the paper the anchor does not see the question unless asked to
(`question: shown`): it reconciles the answers, it does not answer anew.  They are shown
in a drawn order, so that one who leans to a place leans to no agent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from moot.agents.errors import MootError
from moot.agents.population import Agent, Population, anchor
from moot.agents.task import Task
from moot.agents.types import Sampling, Settings

from .asking import Wishes
from .consensus import matches
from .fence import filled, numbered, unmarked
from .sample import answers
from .types import Outcome, Say, Script, Signal, Turn
from .voting import plurality

HIDDEN = """\
{answers}

These are {n} answers to one and the same question. Some may be wrong. Weigh them against each \
other and write the one answer that reconciles them, in the form that they have."""

SHOWN = """\
{answers}

These are {n} answers to the question below. Some may be wrong. Weigh them against each other and \
write the one best answer, in the form that the question asks for.

Question: {question}"""

ANSWER = "Answer: {answer}"
CRITICS_OWN = "with `by: critic`: a critic has the population's sampling"


class Synthesis(Settings):
    """Policies answer alone; the synthesiser turns the answers into a reference."""

    kind: Literal["synthesis"] = "synthesis"
    samples: int = Field(default=1, ge=1, le=10_000)
    """Answers from each policy."""
    question: Literal["hidden", "shown"] = "hidden"
    """Whether the synthesiser sees the question beside the answers."""
    by: Literal["anchor", "critic"] = "anchor"
    """Who synthesises: the frozen initial policy, or the population's (first) critic."""
    sees: Literal["text", "answer"] = "text"
    """Of each answer: all that was said, or what the verifier read (unreadable ones fall out; where
    none is left, nobody is asked and there is no reference)."""
    prompt: str | None = Field(default=None, pattern=r"\{answers\}")
    """The synthesiser's prompt, in place of ours: {answers} and, if wanted, {n} and {question}."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """The anchor's; 0 takes the likeliest token each time.  A critic has the population's."""
    max_tokens: int = Field(default=512, ge=1)
    """The bound of the anchor's reference, in tokens.  A critic has the population's."""

    @property
    def yields(self) -> frozenset[Signal]:
        """The synthesised answer."""
        return frozenset({"reference"})

    @model_validator(mode="after")
    def _wording_says_what_is_shown(self) -> Self:
        shown = self.prompt is not None and "{question}" in self.prompt
        if shown and self.question == "hidden":
            raise ValueError("`prompt` has {question}: set `question: shown`, or take it out")
        if self.prompt is not None and not shown and self.question == "shown":
            raise ValueError("`question: shown`, but `prompt` has no {question}: put it in")
        if self.by == "critic":
            self.refuse("temperature", "max_tokens", where=CRITICS_OWN)
        return self

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one synthesis."""
        turns = yield answers(task, people, self.samples)
        order = task.shuffled(turns, "synthesis")
        return (yield from self.written(task, people, order, turns))

    def written(
        self, task: Task, people: Population, given: Sequence[Turn], turns: Sequence[Turn]
    ) -> Wishes[Outcome]:
        """Have the reference written; return what comes of it.

        Args:
            task: what was answered.
            people: who plays.
            given: the answers it is written from, in the order in which they are shown.
            turns: all answers, each to be graded.
        """
        seen = given if self.sees == "text" else [t for t in given if t.answer is not None]
        if not seen:  # whatever was written would come from nowhere
            return Outcome()
        spoken = sorted(seen, key=lambda turn: turn.index)
        heard = tuple(turn.index for turn in spoken)
        [reference] = yield [Say(self.synthesiser(people), self.ask(task, seen), heard)]
        found = reference.answer
        return Outcome(
            verdicts=matches(turns, found, by=reference.index) if found is not None else (),
            reference=reference.text if found is not None else None,
            source=reference.index if found is not None else None,
            answer=found,
            majority=plurality(task, [turn.answer for turn in spoken]).winner,
        )

    def synthesiser(self, people: Population) -> Agent:
        """Return the agent that writes the reference."""
        if self.by == "critic":
            return people.playing("critic")[0]
        return frozen(people, self.temperature, self.max_tokens)

    def ask(self, task: Task, seen: Sequence[Turn]) -> str:
        """Return the synthesiser's prompt; what agents said stands in it as fenced data.

        What was read from it stands in a line: a verifier's answer is short, but for `exact`.
        """
        shown = numbered("answer", seen)
        if self.sees == "answer":
            shown = "\n".join(ANSWER.format(answer=unmarked(str(turn.answer))) for turn in seen)
        wording = self.prompt or (SHOWN if self.question == "shown" else HIDDEN)
        return filled(wording, answers=shown, n=str(len(seen)), question=task.prompt)

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks."""
        policies = dict.fromkeys(people.playing("policy"), self.samples)
        return {**policies, self.synthesiser(people): 1}


def frozen(people: Population, temperature: float, max_tokens: int) -> Agent:
    """Return the frozen initial policy behind the first policy, sampled as is said."""
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    who = replace(anchor(people.playing("policy")[0]), sampling=sampling)
    if any(agent.name == who.name for agent in people.agents):
        raise MootError(f"an agent is called '{who.name}', as the frozen initial policy is")
    return who
