"""Examples: what an episode teaches, as demonstrations, preferences or graded rollouts.

The ids in each say which conversation is behind it, so that any gradient can be traced.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TypeVar

from moot.agents.types import Prompt
from moot.protocols.types import Turn

EVERYONE = ("*",)
"""Speakers whose words all learners learn from."""


@dataclass(frozen=True, slots=True)
class Known:
    """What models thought of a completion before the cycle's training."""

    logp: tuple[float, ...] = ()
    """Of each token under the policy; empty: not asked."""
    anchor: tuple[float, ...] = ()
    """Of each token under the anchor; empty: not asked."""
    entropy: float | None = None
    """The mean over its tokens of the policy's entropy, in nats."""
    certainty: float | None = None
    """The mean over its tokens of KL(uniform ‖ policy), in nats."""
    probe: float | None = None
    """The log-probability of the probe token after the last, under the policy; `None`: no probe."""
    anchor_probe: float | None = None
    """The same under the anchor."""
    value: tuple[float, ...] = ()
    """What the policy's value head expects from before each token on; empty: it has none."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was asked and what was replied: one row of a batch."""

    prompt: Prompt
    text: str
    tokens: tuple[int, ...] = ()
    """As the engine sampled them; empty where it doesn't say, and the text is tokenised then."""
    prompt_tokens: tuple[int, ...] = ()
    """As the engine read them; empty where it doesn't say, and the prompt is tokenised then."""
    logprobs: tuple[float, ...] = ()
    """Of each token, as the engine that sampled it said; empty where it doesn't."""
    finish: str = "stop"
    temperature: float = 1.0
    """It was sampled at; losses are taken on the same tempered distribution."""
    most: int | None = None
    """The most tokens it might have had; `None`: not known."""
    length: int = 0
    """How many tokens the engine counted in the reply."""
    engine: str = ""
    """The engine that read and sampled the tokens: another model has other ids."""
    known: Known = Known()

    @property
    def cut(self) -> bool:
        """Whether it ends because it reached the most tokens it might have."""
        return self.finish == "length"


def said(turn: Turn, prompt: Turn | None = None) -> Said:
    """Return what `turn` replied to its own prompt, or to that of the turn `prompt`."""
    words, asked = turn.completion, prompt or turn
    own = asked.prompt == turn.prompt
    read = asked.agent.engine == turn.agent.engine  # another model has other ids
    return Said(
        prompt=asked.prompt,
        text=turn.text,
        tokens=words.tokens,
        prompt_tokens=asked.completion.prompt_tokens if read else (),
        logprobs=words.logprobs if own else (),
        finish=words.finish,
        temperature=turn.agent.sampling.temperature,
        most=turn.agent.sampling.max_tokens,
        length=words.tokens_out,
        engine=turn.agent.engine,
    )


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion and how it was graded: what a policy gradient learns from."""

    episode: str
    turn: int
    round: int
    """Completions of one round of one episode are a group: replies to the same question, by agents
    who had heard as much."""
    agent: str
    weights: str | None
    """The weights that spoke; `None`: a frozen agent's, who counts in the group."""
    version: int
    said: Said
    reward: float | None
    """`None`: it is found by the learner, from what the policy thinks of it."""
    advantage: float = 0.0
    teaches: bool = True
    """Whether its loss has a gradient; others are left out of training."""
    judges: tuple[int, ...] = ()
    """The turns behind the reward."""
    answer: str | None = None
    """What the task's verifier read of it; `None`: it can't be read."""
    beside: Said | None = None
    """Its words as a reply to another prompt, by which the policy's `drift` is told (KTO's)."""
    drift: float = 0.0
    """How much likelier the policy of this step finds such words than the anchor does, in nats."""
    gains: tuple[float, ...] = ()
    """The advantage of each token, where a value head credits them; else empty."""
    returns: tuple[float, ...] = ()
    """What came from each token on, for the value head to learn."""
    earned: tuple[float | None, ...] = ()
    """By each method of a sum; nan: it isn't that method's to reward.  Empty: there is no sum."""
    target: float | None = None
    """What the policy's verdict on it should be; `None`: that isn't learnt."""
    weight: float = 1.0
    """How much that verdict counts."""

    @property
    def speakers(self) -> tuple[str, ...]:
        """The weights that said it."""
        return () if self.weights is None else (self.weights,)

    @property
    def group(self) -> tuple[str, int]:
        """What it is compared within."""
        return self.episode, self.round

    @property
    def turns(self) -> tuple[int]:
        """Whose words it holds."""
        return (self.turn,)

    @property
    def rows(self) -> tuple[Said, ...]:
        """What goes through the model."""
        return (self.said,) if self.beside is None else (self.said, self.beside)

    def with_rows(self, rows: Sequence[Said]) -> "Rollout":
        """Return the same of other rows, as many."""
        said, *beside = rows
        return replace(self, said=said, beside=beside[0] if beside else None)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two completions of one prompt, and how likely the first is the better one."""

    episode: str
    turns: tuple[int, int]
    """The chosen and the rejected one."""
    agents: tuple[str, str]
    speakers: tuple[str, ...]
    """The weights, of those that learn, that said them."""
    chosen: Said
    rejected: Said
    probability: float = 1.0
    """In [0.5, 1]."""
    margin: float = 0.0
    """How much better the first is, where that is known."""
    judges: tuple[int, ...] = ()
    teaches: bool = True

    @property
    def rows(self) -> tuple[Said, ...]:
        """What goes through the model."""
        return (self.chosen, self.rejected)

    def with_rows(self, rows: Sequence[Said]) -> "Pair":
        """Return the same of other rows, as many."""
        chosen, rejected = rows
        return replace(self, chosen=chosen, rejected=rejected)


@dataclass(frozen=True, slots=True)
class Shown:
    """A demonstration: a completion to imitate."""

    episode: str
    turn: int | None
    """The turn whose words they are; `None`: they are the reference, or stand in a file."""
    agent: str
    speakers: tuple[str, ...]
    """The weights, of those that learn, that are to imitate it where each learns from its own."""
    said: Said
    name: str
    """What it is an example of, e.g. `reference` or `revision`; empty: a file doesn't say."""
    teaches: bool = True

    @property
    def turns(self) -> tuple[int | None]:
        """Whose words it holds."""
        return (self.turn,)

    @property
    def rows(self) -> tuple[Said, ...]:
        """What goes through the model."""
        return (self.said,)

    def with_rows(self, rows: Sequence[Said]) -> "Shown":
        """Return the same of another row."""
        [said] = rows
        return replace(self, said=said)


Example = Rollout | Pair | Shown
"""What an episode teaches."""


def is_for(example: Example, heard: Iterable[str]) -> bool:
    """Return whether who learns from the words of the weights `heard` learns from an example."""
    return example.speakers == EVERYONE or not set(example.speakers).isdisjoint(heard)


E = TypeVar("E", Rollout, Pair, Shown)


def contrast(examples: Iterable[Example]) -> dict[str, float]:
    """Return of how many of the groups of rollouts there is nothing to be learnt by comparison.

    `alike` is the share in which all rewards are equal, `alone` that of groups of one, which are
    among these.  Empty where there are no rewards.
    """
    groups: dict[tuple[str, int], list[float]] = {}
    for example in examples:
        if isinstance(example, Rollout) and example.reward is not None:
            # Of a sum, whose rewards are each compared by itself, the advantages tell.
            told = example.advantage if example.earned else example.reward
            groups.setdefault(example.group, []).append(told)
    if not groups:
        return {}
    alike = [float(len(set(rewards)) == 1) for rewards in groups.values()]
    alone = [float(len(rewards) == 1) for rewards in groups.values()]
    return {"alike": fmean(alike), "alone": fmean(alone)}
