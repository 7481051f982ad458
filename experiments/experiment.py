"""The experiment: everything that decides a run, as one frozen model."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from itertools import groupby
from typing import Annotated, Self

from pydantic import Field, model_validator

from moot.agents.embedded.local import Local
from moot.agents.endpoint import Endpoint
from moot.agents.human.human import Human
from moot.agents.population import Agent, Group, Population, Trust
from moot.agents.scripted import Scripted
from moot.agents.serving.vllm import VLLM
from moot.agents.simulated import Simulated
from moot.agents.task import Task
from moot.agents.types import Name, Settings
from moot.protocols import ProtocolChoice
from moot.protocols.casting import EVERYBODY, Casting, seating
from moot.protocols.judging import Comparing
from moot.protocols.judging.cascade import Cascade
from moot.protocols.stage import StageSettings
from moot.training import MethodChoice
from moot.training.methods.sft import SFT
from moot.training.preferring import Preferring
from moot.training.settings import Fit

from .tasks import TaskSource
from .tasks.split import for_cycle

EngineChoice = Annotated[
    Scripted | Simulated | Local | VLLM | Endpoint | Human, Field(discriminator="kind")
]


class Evaluation(Settings):
    """How the policies are measured before the first cycle and after each."""

    samples: int = Field(default=4, ge=1, le=1000)
    """Answers to each held-out task by one agent for each learned weights, the first that speaks
    with them, by its sampling and persona; if nobody learns, by every policy."""
    controls: bool = True
    """Whether, at the end, the protocol is played on the held-out tasks and compared with what its
    tokens buy without it: a single answer, a vote, the likeliest answer, reflection without
    peers. Not where people answer: their words cost no tokens."""
    baseline: bool = True
    """Whether, at the end, the untrained model votes with the compute that the whole run spent."""
    judging: Comparing | None = None
    """How judges compare, after each cycle, what the trained say to held-out tasks with what the
    untrained said: how often it is better is the win rate. Left out, nobody does."""
    judges: tuple[Name, ...] = ()
    """Who judges that: names of agents or of groups, who judge nothing else in the run. Left out,
    all judges do."""
    baseline_votes: int = Field(default=64, ge=1, le=10_000)
    """The most votes that this baseline casts for a task. If the run's compute would buy more, the
    report says so; more hardly move a majority."""

    @model_validator(mode="after")
    def _who_judges_judges_something(self) -> Self:
        if self.judging is None:
            self.refuse("judges", where="without `judging`")
            return self
        pairwise = self.judging.judging if isinstance(self.judging, Cascade) else self.judging
        pairwise.refuse("pairs", where="in `evaluation.judging`: all are compared")
        return self


class Experiment(Settings):
    """One experiment."""

    name: Name
    seed: int = Field(default=0, ge=0)
    """Decides every draw: tasks, adapters, sampling."""
    cycles: int = Field(default=2, ge=0, le=10_000)
    """How often the population talks and learns; 0 evaluates it as it is."""
    engines: dict[Name, EngineChoice] = Field(min_length=1)
    """What turns prompts into words, by a name of your own."""
    population: tuple[Group, ...] = Field(min_length=1)
    """Who speaks, in the order they speak."""
    casting: Casting = EVERYBODY
    """Who of them plays an episode."""
    tasks: TaskSource
    protocol: ProtocolChoice
    """How they interact."""
    method: MethodChoice | None = None
    """How they learn; needed as soon as someone learns."""
    fit: Fit = Fit()
    """How long and how fast they learn."""
    trust: Trust = "labels"
    """What judges are weighed by in the next cycle: how often they found right answers better than
    wrong ones, where answers are known (`labels`: known answers have a say then in what judges
    teach), or what those judges prefer that are `people`, and else by `agreement`: what the judges
    agree about; or all alike (`equal`). People themselves weigh 1."""
    evaluation: Evaluation = Evaluation()
    stage: StageSettings = StageSettings()
    made_with: dict[str, str] | None = None
    """Written by `moot run`: versions and fingerprints; not read back."""

    def people(self) -> Population:
        """Return the population, speaking with version 0 of everything."""
        only = next(iter(self.engines))
        return Population(tuple(a for group in self.population for a in group.agents(only)))

    def talking(self, people: Population) -> Population:
        """Return who of them talks: all but those who judge the evaluation alone."""
        return people.without(self.evaluation.judges)

    def examiners(self, people: Population) -> tuple[Agent, ...]:
        """Return who of them judges the evaluation, each with the same weight; there may be none.

        Who learns doesn't: it would judge itself, and be another judge after each cycle.
        """
        if self.evaluation.judging is None:
            return ()
        judges = [judge for a in people.agents if (judge := a.playing("judge"))]
        named = self.evaluation.judges
        return tuple(
            replace(judge, others=(), trust=1.0)
            for judge in judges
            if judge.weights is None and (not named or judge.among(named))
        )

    @property
    def controlled(self) -> bool:
        """Whether the protocol is compared with what its tokens buy, where that can be measured."""
        persons = self.persons()
        alone = any(a.name in persons and a.playing("policy") for a in self.people().agents)
        return self.evaluation.controls and bool(self.protocol.yields) and not alone

    def examined(self, people: Population) -> Population:
        """Return those of whom some are examined on held-out tasks: not people, who'd be asked all.

        Where people alone answer, they are.
        """
        others = people.without(self.persons())
        return others if others.cast()["policy"] else people

    def persons(self) -> Set[str]:
        """Return the names of the agents that are people."""
        human = {name for name, engine in self.engines.items() if isinstance(engine, Human)}
        return {agent.name for agent in self.people().agents if agent.engine in human}

    def adapters(self, engine: str) -> int:
        """Return how many adapters learn on an engine: none where all weights do."""
        if self.fit.lora is None:
            return 0
        return len({a.weights for a in self.people().agents if a.engine == engine} - {None})

    def talked_about(self, cycle: int, train: Sequence[Task]) -> Sequence[Task]:
        """Return a cycle's tasks, of those to learn from; none where a file has all there is."""
        if isinstance(self.method, Preferring | SFT) and not self.method.talk:
            return ()
        return for_cycle(train, self.tasks.per_cycle, cycle, self.seed)

    def calls(self, people: Population, tasks: Sequence[Task], cycle: int = 0) -> Counter[Agent]:
        """Return how often each agent speaks at most while a cycle's tasks are talked about."""
        found: Counter[Agent] = Counter()
        cast = seating(self.casting, self.talking(people), tasks, self.seed, cycle)
        for one, same in groupby(map(cast, tasks)):
            times = len(list(same))
            for agent, n in self.protocol.calls(one).items():
                found[agent] += n * times
        return found

    def judgements(self, people: Population, tasks: Sequence[Task]) -> Mapping[Agent, int]:
        """Return how often each judge speaks at most for the win rate on some tasks."""
        evaluation = self.evaluation
        if evaluation.judging is None:
            return {}
        pairs = evaluation.samples * len(tasks) * len(people.learners())
        return dict.fromkeys(self.examiners(people), pairs * evaluation.judging.calls(2))
