"""Mixture of agents: layers of policies, and a synthesis of the last (arXiv:2406.04692).

In each layer every policy answers anew, having read all answers of the layer before, which all of
them know by the same numbers; so a layer's prompts differ by nothing but personas.  Left out: the
paper puts what is read into the system prompt, which here holds the persona.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Settings

from .fence import filled, numbered
from .sample import answers
from .synthesis import CRITICS_OWN, Synthesis
from .types import Say, Script, Signal, Turn

AGAIN = """\
Question: {question}

{answers}

These are {n} answers to the question. Some may be wrong. Weigh them critically against \
each other, do not just repeat one, and answer the question, in the form that it asks for."""


class Mixture(Settings):
    """Policies answer in layers; an aggregator turns the last layer's answers into a reference."""

    kind: Literal["mixture"] = "mixture"
    layers: int = Field(default=2, ge=1, le=100)
    """How often each policy answers; the first time it has read no other answer."""
    by: Literal["anchor", "critic"] = "anchor"
    """Who aggregates, seeing the question: the frozen initial policy (`anchor`), or the
    population's first critic."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """Of the anchor; 0 takes the likeliest token each time. A critic uses the population's
    sampling."""
    max_tokens: int = Field(default=512, ge=1)
    """The most tokens of the anchor's reference. A critic uses the population's sampling."""

    @model_validator(mode="after")
    def _critics_sample_as_the_population_says(self) -> Self:
        if self.by == "critic":
            self.refuse("temperature", "max_tokens", where=CRITICS_OWN)
        return self

    @property
    def yields(self) -> frozenset[Signal]:
        """The aggregated answer."""
        return frozenset({"reference"})

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one mixture."""
        layer = yield answers(task, people, 1)
        turns = [*layer]
        for _ in range(1, self.layers):
            layer = yield again(task, people.playing("policy"), _mixed(task, layer))
            turns += layer
        return (yield from self._aggregator().written(task, people, _mixed(task, layer), turns))

    def _aggregator(self) -> Synthesis:
        return Synthesis(
            question="shown", by=self.by, temperature=self.temperature, max_tokens=self.max_tokens
        )

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks."""
        policies = dict.fromkeys(people.playing("policy"), self.layers)
        return {**policies, self._aggregator().synthesiser(people): 1}


def again(task: Task, policies: Sequence[Agent], heard: Sequence[Turn]) -> list[Say]:
    """Return the wishes of a layer that has read the answers of the one before."""
    text = filled(AGAIN, question=task.prompt, answers=numbered("answer", heard), n=str(len(heard)))
    places = tuple(sorted(turn.index for turn in heard))
    return [Say(policy, text, places) for policy in policies]


def _mixed(task: Task, layer: Sequence[Turn]) -> list[Turn]:
    return task.shuffled(layer, "mixture", layer[0].round)
