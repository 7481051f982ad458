"""A method says what an episode teaches and what loss teaches it.

Shapes: U unique prompts, N completions, P prompt tokens, T completion tokens, V vocabulary entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple, Protocol

from moot.agents.types import Prompt
from moot.protocols.types import Episode, Signal

if TYPE_CHECKING:  # settings import this module, and `moot plan` imports no torch
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion and how it was graded: what a policy gradient learns from.

    The ids say which conversation is behind it, so that any gradient can be traced.
    """

    episode: str
    turn: int
    agent: str
    weights: str
    """The weights that spoke, and that are to learn from it."""
    version: int
    prompt: Prompt
    text: str
    tokens: tuple[int, ...]
    """As the engine sampled them; empty where it doesn't say, and the text is tokenised then."""
    finish: str
    temperature: float
    """It was sampled at; the loss is taken on the same tempered distribution."""
    reward: float
    advantage: float
    teaches: bool = True
    """Whether its loss has a gradient; others are left out of training."""
    judges: tuple[int, ...] = ()
    """The turns behind the reward."""
    prompt_tokens: tuple[int, ...] = ()
    """As the engine read them; empty where it doesn't say, and the prompt is tokenised then."""


@dataclass(frozen=True, slots=True)
class Rows:
    """N completions after U prompts; a prompt shared by several completions stands here once."""

    prompts: Tensor
    """(U, P) token ids, left-padded."""
    prompt_mask: Tensor
    """(U, P) bool, True on real tokens."""
    owner: Tensor
    """(N,) which prompt a completion follows."""
    tokens: Tensor
    """(N, T) token ids, right-padded."""
    mask: Tensor
    """(N, T) bool, True on real tokens."""
    temperature: Tensor
    """(N,) what the logits are divided by."""

    def to(self, device: torch.device) -> Rows:
        """Return the rows on `device`."""
        return Rows(*(getattr(self, name.name).to(device) for name in fields(self)))


class Scores(NamedTuple):
    """What a model thinks of the tokens of some rows; zero where the mask is False."""

    logp: Tensor
    """(N, T) natural-log probability of each token."""
    entropy: Tensor
    """(N, T) entropy, in nats, of the distribution it was drawn from; carries no gradient."""


Model = Callable[[Rows], Scores]


@dataclass(frozen=True, slots=True)
class Graded:
    """A batch of rollouts."""

    rows: Rows
    advantage: Tensor
    """(N,)."""
    reward: Tensor
    """(N,)."""
    old: Tensor | None = None
    """(N, T) log-probabilities under the policy that spoke; `None`: the policy itself."""

    def __len__(self) -> int:
        """Return N."""
        return len(self.advantage)

    def to(self, device: torch.device) -> Graded:
        """Return the batch on `device`."""
        old = None if self.old is None else self.old.to(device)
        return Graded(self.rows.to(device), self.advantage.to(device), self.reward.to(device), old)


class Encoder(Protocol):
    """Turns what was said into token ids as the model's own chat template has it."""

    def prompt(self, prompt: Prompt) -> Sequence[int]:
        """Return the ids of a prompt, ready for the assistant's reply."""
        ...

    def completion(self, text: str, *, ended: bool) -> Sequence[int]:
        """Return the ids of a reply, with the end-of-turn token if it `ended`."""
        ...


class Method(Protocol):
    """A way to learn: a frozen pydantic model whose fields are its YAML keys."""

    @property
    def kind(self) -> str:
        """Its name in YAML."""
        ...

    @property
    def needs(self) -> Signal:
        """What a protocol must yield for anything to be learnt."""
        ...

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return what one episode teaches, whoever learns from it."""
        ...

    def collate(self, examples: Sequence[Rollout], encode: Encoder) -> Graded:
        """Return the examples as tensors on the CPU."""
        ...

    def loss(
        self, policy: Model, anchor: Model, batch: Graded
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return (N,) losses whose mean is minimised, and (N,) metrics; `anchor` is frozen."""
        ...
