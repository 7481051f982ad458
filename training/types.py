"""A method says what an episode teaches and what loss teaches it.

Shapes: M tokens of a prefix tree, K of them chosen, N completions, T completion tokens, E examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from moot.agents.types import Prompt
from moot.protocols.types import Episode, Signal, Turn

if TYPE_CHECKING:  # settings import this module, and `moot plan` imports no torch
    from torch import Tensor

    from .reward_model import RewardModel
    from .tree import Node


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
    return Said(
        prompt=asked.prompt,
        text=turn.text,
        tokens=words.tokens,
        prompt_tokens=asked.completion.prompt_tokens,
        logprobs=words.logprobs if own else (),
        finish=words.finish,
        temperature=turn.agent.sampling.temperature,
        most=turn.agent.sampling.max_tokens,
        length=words.tokens_out,
        engine=turn.agent.engine,
    )


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion and how it was graded: what a policy gradient learns from.

    The ids say which conversation is behind it, so that any gradient can be traced.
    """

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
    beside: Said | None = None
    """What goes through the model beside it, and is not learnt: KTO's mismatched completion."""
    gains: tuple[float, ...] = ()
    """The advantage of each token, where a value head credits them; else empty."""
    returns: tuple[float, ...] = ()
    """What came from each token on, for the value head to learn."""
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
    def rows(self) -> tuple[Said, ...]:
        """What goes through the model."""
        return (self.said,) if self.beside is None else (self.said, self.beside)


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


@dataclass(frozen=True, slots=True)
class Shown:
    """A demonstration: a completion to imitate."""

    episode: str
    turn: int | None
    """The turn whose words they are; `None`: they are the reference."""
    agent: str
    speakers: tuple[str, ...]
    """The weights, of those that learn, that are to imitate it where each learns from its own."""
    said: Said
    name: str
    """What it is an example of, e.g. `reference` or `revision`."""
    teaches: bool = True

    @property
    def rows(self) -> tuple[Said, ...]:
        """What goes through the model."""
        return (self.said,)


Example = Rollout | Pair | Shown
"""What an episode teaches."""

E = TypeVar("E", Rollout, Pair, Shown)


@dataclass(frozen=True, slots=True)
class Rows:
    """N completions as the prefix tree of their tokens; all that they begin with alike is one."""

    tokens: Tensor
    """(M,) ids, depth first."""
    position: Tensor
    """(M,) how many tokens come before each."""
    nodes: tuple[Node, ...]
    before: Tensor
    """(K,) the places of the tokens after which a completion's token is chosen."""
    chosen: Tensor
    """(K,) the ids chosen there."""
    temperature: Tensor
    """(K,) what the logits are divided by."""
    place: Tensor
    """(sum of the completions' lengths,) which of the K each completion's tokens are, in turn."""
    mask: Tensor
    """(N, T) bool, True on real tokens; completions are padded on the right."""
    last: Tensor
    """(N,) the place of each row's last token."""
    old: Tensor | None = None
    """(N, T) log-probabilities before training, under the policy; `None`: not known."""
    anchor: Tensor | None = None
    """(N, T) log-probabilities under the anchor; `None`: not known."""
    spoken: Tensor | None = None
    """(N, T) log-probabilities as the engine said; `None`: it didn't, of one of them at least."""
    probe: int | None = None
    """A token whose log-probability after each row's last token is wanted."""

    def __len__(self) -> int:
        """Return N."""
        return len(self.last)


class Scores(NamedTuple):
    """What a model thinks of the tokens of some rows; zero where the mask is False."""

    logp: Tensor
    """(N, T) natural-log probability of each token."""
    entropy: Tensor
    """(N, T) entropy, in nats, of the distribution it was drawn from."""
    certainty: Tensor
    """(N, T) KL(uniform ‖ that distribution), in nats; carries no gradient."""
    probe: Tensor | None = None
    """(N,) log-probability of the probe token after the last; `None`: there is no probe."""
    reward: Tensor | None = None
    """(N,) what the scalar head makes of the last token; `None`: there is no scalar head."""
    value: Tensor | None = None
    """(N, T) what the scalar head makes of what comes before each token; `None`: no such head."""


Metrics = Mapping[str, "Tensor"]
"""(E,) of each example, by name; a step reports the mean of those that aren't nan."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a method must know from the models."""

    policy: bool = False
    """To grade examples: what the policy thinks of them before training."""
    anchor: bool = False
    """What the anchor thinks of them."""
    old: bool = False
    """As soon as the policy has moved: what it thought of them before training."""
    entropy: bool = False
    """In the loss: a gradient of the entropy."""
    probe: int | None = None
    """A token whose log-probability after each example is wanted."""
    scalar: bool = False
    """A scalar head on the policy."""


class Encoder(Protocol):
    """Turns what was said into token ids as the model's own chat template has it."""

    @property
    def spare(self) -> int | None:
        """A token that the model never reads nor says; `None`: its vocabulary has none."""
        ...

    def prompt(self, prompt: Prompt) -> Sequence[int]:
        """Return the ids of a prompt, ready for the assistant's reply."""
        ...

    def completion(self, text: str, *, ended: bool) -> Sequence[int]:
        """Return the ids of a reply, with the end-of-turn token if it `ended`."""
        ...


class Method(Protocol[E]):
    """A way to learn: a frozen pydantic model whose fields are its YAML keys."""

    @property
    def kind(self) -> str:
        """Its name in YAML."""
        ...

    @property
    def needs(self) -> Signal | None:
        """What a protocol must yield for anything to be learnt; `None`: answers are enough."""
        ...

    @property
    def reward_model(self) -> RewardModel | None:
        """What learns to reward the rollouts that have no reward yet; `None`: nothing."""
        ...

    def given(self) -> list[E]:
        """Return what is to be learnt beside what episodes teach: from a file, say."""
        ...

    def examples(self, episode: Episode) -> list[E]:
        """Return what one episode teaches, whoever learns from it."""
        ...

    def looks(self, encode: Encoder) -> Look:
        """Return what must be known of the examples before they are learnt from."""
        ...

    def graded(self, examples: Sequence[E], taken: int = 0) -> list[E]:
        """Return the examples, graded by what the models think of them where that is the way.

        Args:
            examples: of a cycle; those that the learner learns from have been looked at.
            taken: optimiser steps taken since the run began.
        """
        ...

    def sizes(self, examples: Sequence[E], rows: Rows) -> Tensor:
        """Return (E,) how much each example counts in the mean loss: 1, or its tokens."""
        ...

    def loss(self, policy: Scores, rows: Rows, examples: Sequence[E]) -> tuple[Tensor, Metrics]:
        """Return (E,) losses and metrics; what is minimised is Σ losses / Σ sizes of a step.

        Args:
            policy: what the policy thinks of the rows.
            rows: those of the examples: the first row of each, then the second of each, if any.
            examples: E of them.
        """
        ...
