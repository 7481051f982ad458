"""KTO: learning from what was liked and what was not, without pairs (arXiv:2402.01306).

An answer is desirable if it won more comparisons than it lost, as a reply to what the preference
names, or if its grade or its agreement with the reference is over `threshold`: what can't be read
agrees with none.  What could be, and no judge could grade or compare, is left out.  The baseline
is the policy's KL to the anchor at each step, estimated by all of the step's completions, each
after another episode's prompt; TRL has a baseline for each microbatch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from moot.agents.types import Settings
from moot.protocols.types import Episode, Signal

from ..data.examples import Known, Rollout, Said, said
from ..model.types import Encoder, Rows, Scores
from ..types import Look, Metrics
from .options import refuse_unused
from .reinforcement import rollout

if TYPE_CHECKING:
    from torch import Tensor


class KTO(Settings):
    """Make liked answers likelier, and disliked ones less likely, relative to the policy's own
    drift."""

    kind: Literal["kto"] = "kto"
    on: Literal["preferences", "grade", "match"] = "preferences"
    """What says whether an answer is desirable."""
    threshold: float = Field(default=0.5, ge=0, le=1)
    """The grade, or agreement, above which an answer is desirable."""
    beta: float = Field(default=0.1, gt=0)
    """The implicit reward per nat."""
    desirable: float = Field(default=1.0, gt=0)
    """The weight of desirable answers."""
    undesirable: float = Field(default=1.0, gt=0)
    """The weight of undesirable answers."""

    @model_validator(mode="after")
    def _options_are_used(self) -> Self:
        refuse_unused(self, self.on, {"threshold": ("grade", "match")}, f"with `on: {self.on}`")
        return self

    @property
    def needs(self) -> Signal:
        """What says whether an answer is desirable."""
        if self.on == "preferences":
            return "preferences"
        return "grades" if self.on == "grade" else "reference"

    @property
    def reward_model(self) -> None:
        """Nothing learns to reward."""
        return None

    def given(self) -> None:
        """Return nothing: what is liked is the protocol's to say."""

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return every answer that was liked (reward 1) or was not (reward 0)."""
        found: dict[tuple[int, int], float]
        turns = episode.turns
        if self.on == "preferences":
            won: Counter[tuple[int, int]] = Counter()
            for one in episode.outcome.preferences:
                if one.probability > 0.5:
                    won[one.chosen, one.asked] += 1
                    won[one.rejected, one.asked] -= 1
            found = {place: float(n > 0) for place, n in won.items() if n}
        else:
            found = {
                (v.of, v.of): float(v.score is not None and v.score > self.threshold)
                for v in episode.outcome.verdicts
                if v.kind == self.on and (v.kind == "match" or v.by is None)
                if v.score is not None or (v.kind == "match" and turns[v.of].answer is None)
            }
        return [
            replace(
                rollout(episode, turns[of], reward),
                said=replace(said(turns[of], turns[asked]), temperature=1.0),
            )
            for (of, asked), reward in sorted(found.items())
        ]

    def looks(self, encode: Encoder) -> Look:
        """Return that the anchor's word is wanted."""
        return Look(anchor=True, drift=True)

    def graded(self, examples: Sequence[Rollout], taken: int = 0) -> list[Rollout]:
        """Return the answers, each beside its words as a reply to another example's prompt."""
        return [
            replace(
                one,
                teaches=one.weights is not None,
                beside=one.beside or _elsewhere(one.said, other.said),
            )
            for one, other in zip(examples, _others(examples), strict=True)
        ]

    def sizes(self, examples: Sequence[Rollout], rows: Rows) -> Tensor:
        """Return (N,) ones: answers count alike."""
        import torch

        return torch.ones(len(examples))

    def loss(
        self, policy: Scores, rows: Rows, examples: Sequence[Rollout]
    ) -> tuple[Tensor, Metrics]:
        """Return (N,) losses, and how the policy took what was liked and what was not."""
        import torch

        from ..losses.policy import total
        from ..losses.preference import kto

        assert rows.anchor is not None, "it was looked for"
        own = total(policy.logp - rows.anchor, rows.mask)
        baseline = own.new_tensor([e.drift for e in examples])
        liked = torch.tensor([e.reward == 1.0 for e in examples], device=own.device)
        loss = kto(
            own,
            liked,
            baseline,
            beta=self.beta,
            desirable_weight=self.desirable,
            undesirable_weight=self.undesirable,
        )
        reward = self.beta * (own - baseline).detach()
        nothing = torch.full_like(reward, torch.nan)
        return loss, {
            "baseline": baseline,
            "desirable_reward": torch.where(liked, reward, nothing),
            "undesirable_reward": torch.where(liked, nothing, reward),
        }


def _others(examples: Sequence[Rollout]) -> Iterator[Rollout]:
    """Yield for each example one of the next episode, or, where there is just one, of its own."""
    episodes: dict[str, list[Rollout]] = {}
    for one in examples:
        episodes.setdefault(one.episode, []).append(one)
    names = list(episodes)
    following = dict(zip(names, [*names[1:], *names[:1]], strict=True))
    taken: Counter[str] = Counter()
    for one in examples:
        taken[one.episode] += 1
        group = episodes[following[one.episode]]
        yield group[taken[one.episode] % len(group)]


def _elsewhere(words: Said, asked: Said) -> Said:
    """Return the `words` as a reply to what was `asked` elsewhere; nothing is known of that."""
    read = asked.prompt_tokens if asked.engine == words.engine else ()  # another model's ids
    there = replace(words, prompt=asked.prompt, prompt_tokens=read)
    return replace(there, logprobs=(), known=Known())
