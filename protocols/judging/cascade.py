"""Cascade: the panel decides the pairs it is sure of, and experts decide the others.

Experts are judges as well: people, whose time is short, or a model that costs more (Jung et al.,
"Trust or Escalate", arXiv:2407.18370).  How likely the panel finds the better reply of a pair
better is how sure it is.  Left out: the paper's threshold that guarantees a rate of agreement with
people, which takes their labels on a calibration set; and cascades of more than two steps.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from moot.agents.population import Agent
from moot.agents.task import Task
from moot.agents.types import Name, Settings

from ..asking import Wishes
from ..types import Turn, Verdict
from .pairwise import Pairwise
from .panel import games, wins


class Cascade(Settings):
    """Judges compare replies in pairs; experts do where the others aren't sure."""

    kind: Literal["cascade"] = "cascade"
    experts: tuple[Name, ...] = Field(min_length=1)
    """Which judges are the experts: names of agents, or of groups. Where an episode's cast has
    none, or nobody else, whoever judges decides all."""
    sure: float = Field(default=0.8, gt=0.5, le=1)
    """From which probability of the better reply on the panel counts as sure. A pair that it can't
    be read on goes to the experts; one of which they can't tell is left to the panel."""
    judging: Pairwise = Pairwise()
    """How both compare."""

    def judge(
        self, task: Task, replies: Sequence[Turn], judges: Sequence[Agent]
    ) -> Wishes[list[Verdict]]:
        """Return every judge's verdicts, then the preferences and grades of whoever decided."""
        return (yield from self.compare(task, self.judging.among(task, replies), judges))

    def compare(
        self, task: Task, pairs: Sequence[tuple[Turn, Turn]], judges: Sequence[Agent]
    ) -> Wishes[list[Verdict]]:
        """Return the same of these pairs."""
        experts = [judge for judge in judges if {judge.name, judge.group} & {*self.experts}]
        panel = [judge for judge in judges if judge not in experts]
        if not experts or not panel:
            return (yield from self.judging.compare(task, pairs, judges))
        found = yield from self.judging.compare(task, pairs, panel)
        sure = {(a, b) for a, b, p in games(found) if max(p, 1 - p) >= self.sure}
        doubtful = [(a, b) for a, b in pairs if (a.index, b.index) not in sure]
        told = yield from self.judging.compare(task, doubtful, experts)
        decided = {(a, b): p for a, b, p in (*games(found), *games(told))}
        own = [verdict for verdict in (*found, *told) if verdict.by is not None]
        return [*own, *_decisions(pairs, decided)]

    def calls(self, replies: int) -> int:
        """Return how often each judge speaks at most: an expert of every pair, like the others."""
        return self.judging.calls(replies)


def _decisions(
    pairs: Sequence[tuple[Turn, Turn]], decided: Mapping[tuple[int, int], float]
) -> list[Verdict]:
    """Return the preference of each pair, and each turn's mean win; `None`: nobody could tell."""
    found = [
        Verdict(a.index, "preference", decided.get((a.index, b.index)), over=b.index)
        for a, b in pairs
    ]
    won = wins(games(found))
    turns = dict.fromkeys(turn.index for pair in pairs for turn in pair)
    return [*found, *(Verdict(turn, "grade", won.get(turn)) for turn in turns)]
