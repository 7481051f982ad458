"""SFT: imitation of what a protocol holds up, by cross-entropy.

Of references this is CaT-SFT (arXiv:2509.14234, section 4: the question is asked, the synthesised
answer imitated), and of a reference that a selection picked, best-of-N distillation; of
demonstrations, revisions (Constitutional AI's first phase, arXiv:2212.08073) and the sets of
multiagent finetuning (arXiv:2501.05707); or of the best graded answer.  Beside what the protocol
holds up, or alone, a file's demonstrations are imitated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from moot.agents.beside import Beside
from moot.agents.types import Settings
from moot.protocols.types import Episode, Signal, Turn, grades

from ..data.examples import Said, Shown, said
from ..model.types import Encoder, Rows, Scores
from ..types import Look, Metrics
from .options import refuse_unused

if TYPE_CHECKING:
    from torch import Tensor

SIGNALS: Mapping[str, Signal] = {
    "reference": "reference",
    "demonstrations": "demonstrations",
    "best": "grades",
}


class SFT(Settings):
    """Imitate what the protocol, or a file, shows."""

    kind: Literal["sft"] = "sft"
    on: Literal["reference", "demonstrations", "best"] = "reference"
    """What is imitated: the reference, the demonstrations, or the answer with the highest grade."""
    file: Beside | None = None
    """Demonstrations to learn from in every cycle: Parquet or JSON Lines in TRL's columns `prompt`
    and `completion`, or whole conversations in `messages`, whose last message is imitated. Optional
    columns: `name`, for `weigh`; `finish`, which is `length` if the reply was cut off."""
    talk: bool = True
    """Whether to imitate what the protocol shows."""
    weigh: dict[str, float] | None = None
    """Weights of demonstrations by name, also of a file's; names that aren't listed are left out.
    `null`: all count alike."""
    mean: Literal["token", "sequence"] = "token"
    """What the loss is the mean over."""
    least: float = Field(default=0.0, ge=0, le=1)
    """The least grade of a best answer that is imitated."""

    @model_validator(mode="after")
    def _options_are_used(self) -> Self:
        if not self.talk:
            self.refuse("on", "least", where="with `talk: false`")
            return self
        used = {"weigh": ("demonstrations",), "least": ("best",)}
        refuse_unused(self, self.on, used, f"with `on: {self.on}`")
        return self

    @model_validator(mode="after")
    def _has_demonstrations(self) -> Self:
        if self.file is None and not self.talk:
            raise ValueError("no demonstrations to learn from: name a `file`, or leave `talk` true")
        return self

    @property
    def needs(self) -> Signal | None:
        """What is imitated, unless a file has it all."""
        return SIGNALS[self.on] if self.talk else None

    @property
    def reward_model(self) -> None:
        """Nothing learns to reward."""
        return None

    def given(self) -> Iterator[Shown] | None:
        """Yield the file's demonstrations that count; `None`: there is no file."""
        from ..data.demonstrations import read

        if self.file is None:
            return None
        return (one for one in read(Path(self.file)) if self._weight(one.name) > 0)

    def examples(self, episode: Episode) -> list[Shown]:
        """Return what the episode holds up, for whoever learns."""
        if not self.talk:
            return []
        if self.on == "demonstrations":
            return self._demonstrations(episode)
        return self._reference(episode) if self.on == "reference" else self._best(episode)

    def _demonstrations(self, episode: Episode) -> list[Shown]:
        found: list[Shown] = []
        for one in episode.outcome.demonstrations:
            speaker, asked = episode.turns[one.said], episode.turns[one.asked]
            if self._weight(one.name) > 0:
                found += _shown(episode, speaker, said(speaker, asked), one.name)
        return found

    def _reference(self, episode: Episode) -> list[Shown]:
        """Return the reference as the reply of each learner to the question as it was put to it."""
        reference = episode.outcome.reference
        if reference is None:
            return []
        source = episode.referred
        opening: dict[str | None, Turn] = {}
        for turn in episode.turns:
            if turn.agent.role == "policy":
                opening.setdefault(turn.agent.weights, turn)
        found: list[Shown] = []
        for asked in opening.values():
            words = Said(asked.prompt, reference) if source is None else said(source, asked)
            found += [
                replace(one, turn=None if source is None else source.index)
                for one in _shown(episode, asked, words, "reference")
            ]
        return found

    def _best(self, episode: Episode) -> list[Shown]:
        found = grades(episode.outcome.verdicts)
        drawn = episode.task.shuffled(sorted(found), "best")  # of equals the first is taken
        best = max(drawn, key=lambda turn: found[turn], default=None)
        if best is None or found[best] < self.least:
            return []
        return _shown(episode, episode.turns[best], said(episode.turns[best]), "best")

    def looks(self, encode: Encoder) -> Look:
        """Return that nothing must be known."""
        return Look()

    def graded(self, examples: Sequence[Shown], taken: int = 0) -> list[Shown]:
        """Return the demonstrations as they are."""
        return list(examples)

    def sizes(self, examples: Sequence[Shown], rows: Rows) -> Tensor:
        """Return (N,) how much each counts: its weight, times its tokens for a mean of tokens."""
        lengths = rows.mask.sum(-1).float()
        return self._weights(examples) * (lengths if self.mean == "token" else lengths.sign())

    def loss(self, policy: Scores, rows: Rows, examples: Sequence[Shown]) -> tuple[Tensor, Metrics]:
        """Return (N,) cross-entropies, in nats, summed or averaged over tokens as `mean` says."""
        from ..losses.policy import mean, total

        gather = total if self.mean == "token" else mean
        weights = self._weights(examples).to(policy.logp.device)
        return -gather(policy.logp, rows.mask) * weights, {
            "logp": mean(policy.logp.detach(), rows.mask)
        }

    def _weights(self, examples: Sequence[Shown]) -> Tensor:
        import torch

        return torch.tensor([self._weight(one.name) for one in examples])

    def _weight(self, name: str) -> float:
        return 1.0 if self.weigh is None else self.weigh.get(name, 0.0)


def _shown(episode: Episode, speaker: Turn, words: Said, name: str) -> list[Shown]:
    """Return what the weights behind `speaker` are shown: nothing, if it is frozen."""
    weights = speaker.agent.weights
    if weights is None:
        return []
    plain = replace(words, temperature=1.0)  # of the policy itself, however it was sampled
    return [Shown(episode.id, speaker.index, speaker.agent.name, (weights,), plain, name)]
