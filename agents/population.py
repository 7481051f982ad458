"""An agent is a name, a role and a voice; a population is some of them, in order."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

from pydantic import Field, model_validator

from .beside import Text
from .errors import MootError
from .types import Message, Name, OneOrMore, Prompt, Sampling, Settings, in_turn

Trust = Literal["labels", "people", "agreement", "equal"]
"""What judges are weighed by: known answers, what people prefer, what they agree about, or
nothing."""
Role = Literal["policy", "critic", "judge"]


@dataclass(frozen=True, slots=True)
class Agent:
    """A role played by an engine under a persona."""

    name: str
    role: Role
    """What it plays."""
    engine: str
    group: str = ""
    """The entry of the YAML's `population` that it comes from; empty: it comes from none."""
    others: tuple[Role, ...] = ()
    """What else it may play."""
    persona: str = ""
    weights: str | None = None
    """The weights it learns and speaks with; `None`: frozen, the engine's base model."""
    version: int = 0
    """Which version of them speaks now."""
    sampling: Sampling = Sampling()
    trust: float = 1.0
    """Its say on a panel or in a weighted vote, at least 0, by how reliable it was found so far."""
    rating: float = 0.0
    """How good its answers were found so far: its Bradley-Terry strength, in nats."""

    def playing(self, role: Role) -> "Agent | None":
        """Return the agent in `role`; `None`: it doesn't play it."""
        if role == self.role:
            return self
        others = (self.role, *(other for other in self.others if other != role))
        return replace(self, role=role, others=others) if role in self.others else None

    def among(self, names: Collection[str]) -> bool:
        """Return whether it is named there, by its own name or by its group's."""
        return self.name in names or self.group in names

    def prompt(self, text: str, before: Prompt = ()) -> Prompt:
        """Return `text`, after what went `before`, as a prompt addressed to this agent."""
        persona = (Message("system", self.persona),) if self.persona else ()
        return (*persona, *before, Message("user", text))


class Group(Settings):
    """One entry of the YAML's `population`: an agent, or `count` agents alike."""

    name: Name
    role: OneOrMore[Role] = "policy"
    """What it plays; an agent with several roles plays each of them when the protocol asks for
    it."""
    count: int = Field(default=1, ge=1, le=10_000)
    """Above 1 the agents are called name-0, name-1, ..."""
    engine: Name | None = None
    """Which of `engines` it speaks through; may be left out if there is just one."""
    persona: OneOrMore[Text] = ""
    """Its system prompt; with a list, the group's agents get one each, in turn."""
    learns: bool = False
    """Whether the method trains it; otherwise it stays the engine's base model."""
    adapters: Literal["shared", "each"] = "shared"
    """Whether the group's agents learn one set of weights together (`shared`) or one each
    (`each`)."""
    learns_from: Literal["own", "group", "all"] = "own"
    """Whose words the weights learn from: those of the agents that speak with them (`own`), of the
    group, or of all learners. Others' words were sampled by other weights, for which
    `objective.correct` can correct."""
    sampling: OneOrMore[Sampling] = Sampling()
    """How it is sampled; with a list, the group's agents get one each, in turn."""

    @model_validator(mode="after")
    def _all_is_used(self) -> Self:
        if not self.learns:
            self.refuse("adapters", "learns_from", where="without `learns: true`")
        return self

    @property
    def roles(self) -> tuple[Role, ...]:
        """What its agents may play, each role once."""
        return tuple(dict.fromkeys(self.role if isinstance(self.role, tuple) else (self.role,)))

    def agents(self, only_engine: str) -> tuple[Agent, ...]:
        """Return the group's agents; `only_engine` serves those that name no engine."""
        names = [self.name] if self.count == 1 else [f"{self.name}-{i}" for i in range(self.count)]
        return tuple(
            Agent(
                name=name,
                role=self.roles[0],
                engine=self.engine or only_engine,
                group=self.name,
                others=self.roles[1:],
                persona=in_turn(self.persona, i),
                weights=(self.name if self.adapters == "shared" else name) if self.learns else None,
                sampling=in_turn(self.sampling, i),
            )
            for i, name in enumerate(names)
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
        """Return the agents that play `role`, as they play it; an empty cast is an error."""
        found = tuple(played for agent in self.agents if (played := agent.playing(role)))
        if not found:
            cast = ", ".join(f"{role} ×{n}" for role, n in self.cast().items()) or "nobody"
            raise MootError(f"no agent plays {role!r}; this population has {cast}")
        return found

    def cast(self) -> Counter[Role]:
        """Return how many agents may play each role."""
        return Counter(role for agent in self.agents for role in (agent.role, *agent.others))

    def without(self, names: Collection[str]) -> "Population":
        """Return the population without those agents and groups."""
        return Population(tuple(agent for agent in self.agents if not agent.among(names)))

    def learners(self) -> dict[str, tuple[Agent, ...]]:
        """Return the agents that learn, by the name of the weights they share."""
        names = dict.fromkeys(a.weights for a in self.agents if a.weights is not None)
        return {n: tuple(a for a in self.agents if a.weights == n) for n in names}

    def at(self, versions: dict[str, int]) -> "Population":
        """Return the population speaking with these versions of its weights."""
        return Population(
            tuple(replace(a, version=versions.get(a.weights or "", 0)) for a in self.agents)
        )

    def known(self, trust: Mapping[str, float], rating: Mapping[str, float]) -> "Population":
        """Return the population with what is known by now of some, by name."""
        return Population(
            tuple(
                replace(a, trust=trust.get(a.name, a.trust), rating=rating.get(a.name, a.rating))
                for a in self.agents
            )
        )


def anchor(agent: Agent) -> Agent:
    """Return the frozen initial policy behind `agent`: its engine's base model, at no persona."""
    alone = replace(agent, name="anchor", role="critic", others=(), group="", persona="")
    return replace(alone, weights=None, version=0)


def acting(agent: Agent, role: Role) -> Agent:
    """Return `agent` in `role`, cast so or not: as a critic of its own answer, say."""
    return agent.playing(role) or replace(agent, role=role, others=(agent.role, *agent.others))
