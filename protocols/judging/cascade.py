"""Cascade: the panel decides the pairs it is sure of, and experts decide the others.

Experts are judges as well: people, whose time is short, or a model that costs more (Jung et al.,
"Trust or Escalate", arXiv:2407.18370).  How likely the panel finds the better reply of a pair
better is how sure it is.  Left out: the paper's threshold that guarantees a rate of agreement with
people, which takes their labels on a calibration set; and cascades of more than two steps.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Self

from pydantic import Field, model_validator

from moot.agents.population import Agent
from moot.agents.task import Task
from moot.agents.types import Name, Settings

from ..asking import Wishes
from ..types import Turn, Verdict
from .pairwise import Pairwise
from .panel import even, games, win_shares


class Cascade(Settings):
    """Judges compare replies in pairs; experts do where the others aren't sure."""

    kind: Literal["cascade"] = "cascade"
    experts: tuple[Name, ...] = Field(min_length=1)
    """Which judges are the experts: names of agents, or of groups, all of the same weight. Where an
    episode's cast has none, or nobody else, whoever judges decides all."""
    sure: float = Field(default=0.8, gt=0.5, le=1)
    """From which probability of the better reply on the panel counts as sure. A pair that it can't
    be read on goes to the experts; one of which they can't tell, or find both even, is left to the
    panel. A judge whose engine tells no probabilities is always sure, but where it contradicts
    itself with the order."""
    judging: Pairwise = Pairwise()
    """How judges compare."""
    asking: Pairwise | None = None
    """How experts do; left out, as the others. Which pairs they compare is not for it to say."""

    @model_validator(mode="after")
    def _others_say_which_pairs(self) -> Self:
        if self.asking is not None:
            self.asking.refuse(
                "pairs", where="in `asking`: experts get what the panel is unsure of"
            )
        return self

    @property
    def _asking(self) -> Pairwise:
        return self.judging if self.asking is None else self.asking

    def judge(
        self, task: Task, replies: Sequence[Turn], judges: Sequence[Agent]
    ) -> Wishes[list[Verdict]]:
        """Return every judge's verdicts, then the preferences and grades of whoever decided."""
        return (yield from self.compare(task, self.judging.among(task, replies), judges))

    def compare(
        self, task: Task, pairs: Sequence[tuple[Turn, Turn]], judges: Sequence[Agent]
    ) -> Wishes[list[Verdict]]:
        """Return the same of these pairs."""
        named = [judge for judge in judges if judge.among(self.experts)]
        panel = [judge for judge in judges if judge not in named]
        experts = [replace(judge, trust=1.0) for judge in named]  # else they'd be asked in vain
        if not experts:
            return (yield from self.judging.compare(task, pairs, panel))
        if not panel:
            return (yield from self._asking.compare(task, pairs, experts))
        found = yield from self.judging.compare(task, pairs, panel)
        sure = {(a, b) for a, b, p in games(found) if max(p, 1 - p) >= self.sure}
        doubtful = [(a, b) for a, b in pairs if (a.index, b.index) not in sure]
        told = yield from self._asking.compare(task, doubtful, experts)
        clear = ((a, b, p) for a, b, p in games(told) if not even(p))
        decided = [(a, b, p, found) for a, b, p in games(found)]
        decided += [(a, b, p, told) for a, b, p in clear]  # theirs stands, being the last
        last = {(a, b): (p, _judges(by, a, b)) for a, b, p, by in decided}
        own = [verdict for verdict in (*found, *told) if verdict.by is not None]
        return [*own, *_decisions(pairs, last)]

    def calls(self, replies: int) -> int:
        """Return how often each judge speaks at most: an expert of every pair, like the others."""
        pairs = replies * (replies - 1) // 2
        asked = min(pairs, self.judging.pairs or pairs) * self._asking.calls(2)
        return max(self.judging.calls(replies), asked)


def _judges(verdicts: Iterable[Verdict], a: int, b: int) -> tuple[int, ...]:
    """Return the turns in which a pair was judged."""
    own = (v for v in verdicts if {v.of, v.over} == {a, b} and v.score is not None)
    return tuple(verdict.by for verdict in own if verdict.by is not None)


def _decisions(
    pairs: Sequence[tuple[Turn, Turn]],
    decided: Mapping[tuple[int, int], tuple[float, tuple[int, ...]]],
) -> list[Verdict]:
    """Return the preference of each pair, and each turn's mean win; `None`: nobody could tell.

    Args:
        pairs: what was to be compared.
        decided: how likely the first of a pair wins, and the turns of who found so.
    """
    found: list[Verdict] = []
    for a, b in pairs:
        p, by = decided.get((a.index, b.index), (None, ()))
        found.append(Verdict(a.index, "preference", p, over=b.index, behind=by))
    won = win_shares(games(found))
    turns = dict.fromkeys(turn.index for pair in pairs for turn in pair)
    return [*found, *(Verdict(turn, "grade", won.get(turn)) for turn in turns)]
