"""TTRL: test-time reinforcement learning from majority votes (arXiv:2504.16084).

An answer's reward is whether it is its group's majority answer.  It is `cat` with a vote for the
reference, and needs no protocol but one in which policies answer.  Left out: the paper votes among
64 answers and learns from 32 of them; `learn` says how many here, of as many as the protocol asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Literal

from pydantic import Field

from moot.protocols.types import Episode, Turn

from ..data.examples import Rollout
from .reinforcement import Reinforcement, rollout
from .votes import groups, winner


class TTRL(Reinforcement):
    """Reinforce the answers that the majority gives."""

    kind: Literal["ttrl"] = "ttrl"
    learn: int | None = Field(default=None, ge=2)
    """How many of a group's answers are learnt from, taken from each agent in turn: first
    answers before second ones, of agents in an order that is drawn; `null`: all that voted."""

    @property
    def needs(self) -> None:
        """Answers are enough."""
        return None

    def examples(self, episode: Episode) -> list[Rollout]:
        """Return the answers of every group in which somebody gives one that can be read."""
        return [
            rollout(episode, turn, float(turn.answer == won))
            for group in groups(episode)
            if (won := winner(episode.task, group)) is not None
            for turn in sorted(_in_turn(episode, group)[: self.learn], key=lambda turn: turn.index)
        ]


def _in_turn(episode: Episode, group: Sequence[Turn]) -> list[Turn]:
    """Return the first answer of each agent, in an order that is drawn, then the second ones."""
    given: dict[str, list[Turn]] = {}
    for turn in group:
        given.setdefault(turn.agent.name, []).append(turn)
    names = episode.task.shuffled(list(given), "learn", group[0].round)
    turns = zip_longest(*(given[name] for name in names))
    return [turn for some in turns for turn in some if turn is not None]
