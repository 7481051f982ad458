"""What goes into the pass of a model, and what comes out.

Shapes: M tokens of a prefix tree, K of them chosen, N completions, T completion tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from moot.agents.types import Prompt

if TYPE_CHECKING:  # settings import this module, and `moot plan` imports no torch
    from torch import Tensor

    from .tree import Node


Form = Literal["tree", "states", "rows"]
"""How rows go through a model: what they begin with alike once; so too, but for what is short where
layers keep states; or side by side, each whole."""


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
