"""An agent is a name, a role and a voice; a population is some of them, in order."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field

from .errors import MootError
from .types import Message, Name, Prompt, Sampling, Settings

Role = Literal["policy", "critic", "judge"]


@dataclass(frozen=True, slots=True)
class Agent:
    """A role played by an engine under a persona."""

    name: str
    role: Role
    engine: str
    group: str = ""
    """The entry of the YAML's `population` that it comes from; empty: it comes from none."""
    persona: str = ""
    weights: str | None = None
    """The weights it learns and speaks with; `None`: frozen, the engine's base model."""
    version: int = 0
    """Which version of them speaks now."""
    sampling: Sampling = Sampling()

    def prompt(self, text: str) -> Prompt:
        """Return `text` as a prompt addressed to this agent."""
        said = Message("user", text)
        return (Message("system", self.persona), said) if self.persona else (said,)


class Group(Settings):
    """One entry of the YAML's `population`: an agent, or `count` agents alike."""

    name: Name
    role: Role = "policy"
    count: int = Field(default=1, ge=1, le=10_000)
    """Above 1 the agents are called name-0, name-1, ..."""
    engine: Name | None = None
    """Which of `engines` it speaks through; may be left out where there is just one."""
    persona: str = ""
    """Its system prompt."""
    learns: bool = False
    """Whether the method trains it; otherwise it stays the engine's base model."""
    adapters: Literal["shared", "each"] = "shared"
    """Whether the group's agents learn one set of weights together or one each."""
    sampling: Sampling = Sampling()

    def agents(self, only_engine: str) -> tuple[Agent, ...]:
        """Return the group's agents; `only_engine` serves those that name no engine."""
        names = [self.name] if self.count == 1 else [f"{self.name}-{i}" for i in range(self.count)]
        return tuple(
            Agent(
                name=name,
                role=self.role,
                engine=self.engine or only_engine,
                group=self.name,
                persona=self.persona,
                weights=(self.name if self.adapters == "shared" else name) if self.learns else None,
                sampling=self.sampling,
            )
            for name in names
        )


@dataclass(frozen=True, slots=True)
class Population:
    """The agents of an experiment; names are unique, order is the speaking order."""

    agents: tuple[Agent, ...]

    def __post_init__(self) -> None:
        counts = Counter(agent.name for agent in self.agents)
        if twice := [name for name, n in counts.items() if n > 1]:
            raise MootError(f"{counts[twice[0]]} agents are called '{twice[0]}'")
        groups = dict.fromkeys((a.weights, a.group) for a in self.agents if a.weights is not None)
        shared = Counter(weights for weights, _ in groups)
        if twice := [name for name, n in shared.items() if n > 1]:
            raise MootError(f"two groups would learn the same weights, '{twice[0]}'")

    def playing(self, role: Role) -> tuple[Agent, ...]:
        """Return the agents that play `role`; an empty cast is an error."""
        found = tuple(agent for agent in self.agents if agent.role == role)
        if not found:
            have = Counter(agent.role for agent in self.agents)
            cast = ", ".join(f"{role} ×{n}" for role, n in have.items()) or "nobody"
            raise MootError(f"no agent plays {role!r}; this population has {cast}")
        return found

    def learners(self) -> dict[str, tuple[Agent, ...]]:
        """Return the agents that learn, by the name of the weights they share."""
        names = dict.fromkeys(a.weights for a in self.agents if a.weights is not None)
        return {n: tuple(a for a in self.agents if a.weights == n) for n in names}

    def at(self, versions: dict[str, int]) -> "Population":
        """Return the population speaking with these versions of its weights."""
        return Population(
            tuple(replace(a, version=versions.get(a.weights or "", 0)) for a in self.agents)
        )


def anchor(agent: Agent) -> Agent:
    """Return the frozen initial policy behind `agent`: its engine's base model, at no persona."""
    return replace(
        agent, name="anchor", role="critic", group="", persona="", weights=None, version=0
    )
