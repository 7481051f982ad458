"""A method says what an episode teaches and what loss teaches it.

Shapes: M tokens of a prefix tree, K of them chosen, N completions, T completion tokens, E examples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from moot.agents.types import Prompt
from moot.protocols.types import Episode, Signal

from .data.examples import E

if TYPE_CHECKING:  # settings import this module, and `moot plan` imports no torch
    from torch import Tensor

    from .model.tree import Node
    from .reward_model import RewardModel


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
    """(N, T) log-probabilities as the engines said, NaN where one didn't; `None`: none did."""
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
    beta: float = 0.0
    """How many verdicts a nat of it is, where verdicts are learnt."""
    scalar: bool = False
    """A scalar head on the policy."""
    drift: bool = False
    """Before each step: what the policy as it is then thinks of the words beside the examples."""
    sampled: bool = False
    """Whether what is learnt from is what the policy has just said, by which its KL is told."""


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

    def given(self) -> Iterator[E] | None:
        """Yield what a file has to learn beside what episodes teach; `None`: there is no file."""
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
