"""A tournament: unlike answers meet two at a time before judges, and the strongest wins.

Everybody meets everybody, or in so many Swiss rounds those of like strength meet who haven't met.
Strengths are Bradley and Terry's (1952), which don't depend on the order of the games, as Elo's do.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, Self

from pydantic import Field, model_validator

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Settings

from .asking import Wishes
from .consensus import matches
from .judged import behind, preferred
from .judging.pairwise import Pairwise
from .judging.panel import counted, games, win_shares
from .reliability.rating import bradley_terry
from .sample import answers
from .types import Outcome, Preference, Script, Signal, Turn, Verdict
from .voting import plurality

YIELDS: frozenset[Signal] = frozenset({"reference", "preferences", "grades"})


class Tournament(Settings):
    """Policies answer, and their answers play each other before the judges."""

    kind: Literal["tournament"] = "tournament"
    samples: int = Field(default=1, ge=1, le=10_000)
    """Answers from each policy; equal answers play as one."""
    rounds: int | None = Field(default=None, ge=1, le=100)
    """Rounds of the Swiss system; by default everybody meets everybody."""
    judging: Pairwise = Pairwise()
    """How a game is judged."""

    @model_validator(mode="after")
    def _rounds_say_who_meets(self) -> Self:
        if self.judging.pairs is not None:
            raise ValueError("judging.pairs: `rounds` says who meets whom; leave it out")
        return self

    @property
    def yields(self) -> frozenset[Signal]:
        """The winner's answer, who beat whom, and each player's share of wins."""
        return YIELDS

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one tournament."""
        first = yield answers(task, people, self.samples)
        players = _players(task.shuffled(first, "players"))
        verdicts = yield from self._played(task, people, players)
        played = games(verdicts)
        majority = plurality(task, [turn.answer for turn in first]).winner
        notes = {"players": float(len(players)), **counted(verdicts)}
        if not played and len(players) != 1:
            return Outcome(tuple(verdicts), majority=majority, notes=notes)
        strength = bradley_terry(played)
        grades = [Verdict(turn, "grade", share) for turn, share in win_shares(played).items()]
        won = max(players, key=lambda turn: _strength(strength, turn))
        return Outcome(
            verdicts=(*matches(first, str(won.answer)), *verdicts, *grades),
            reference=won.text,
            source=won.index,
            answer=won.answer,
            majority=majority,
            preferences=tuple(
                Preference(a.index, a.index, b.index, p, behind(verdicts, a, b))
                for a, b, p in preferred(task, players, verdicts, 0.0)
            ),
            notes=notes,
        )

    def _played(
        self, task: Task, people: Population, players: Sequence[Turn]
    ) -> Wishes[list[Verdict]]:
        """Return the verdicts of all games, without the judges' grades of each round."""
        judges = people.playing("judge")
        verdicts: list[Verdict] = []
        if self.rounds is None:
            everybody = list(combinations(sorted(players, key=lambda turn: turn.index), 2))
            verdicts = yield from self.judging.compare(task, everybody, judges)
        else:
            for _ in range(self.rounds):
                pairs = _swiss(players, verdicts)
                verdicts += yield from self.judging.compare(task, pairs, judges)
        return [v for v in verdicts if v.kind == "preference"]

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks at most."""
        policies = people.playing("policy")
        n = self.samples * len(policies)
        games = n * (n - 1) // 2
        if self.rounds is not None:
            games = min(games, self.rounds * (n // 2))
        each = self.judging.calls(2) * games
        return {
            **dict.fromkeys(policies, self.samples),
            **dict.fromkeys(people.playing("judge"), each),
        }


def _players(first: Sequence[Turn]) -> list[Turn]:
    """Return the first turn that gave each readable answer."""
    found: dict[str, Turn] = {}
    for turn in first:
        if turn.answer is not None:
            found.setdefault(turn.answer, turn)
    return list(found.values())


def _strength(found: Mapping[int, float], turn: Turn) -> float:
    """Return how strong a player is, so that equals are equal: 0 where it hasn't played."""
    return round(found.get(turn.index, 0.0), 9)


def _swiss(players: Sequence[Turn], verdicts: Sequence[Verdict]) -> list[tuple[Turn, Turn]]:
    """Return the pairs of a round: from the top, each with the next one that it hasn't met.

    Two whose game couldn't be read have met all the same.
    """
    strength = bradley_terry(games(verdicts))
    met = {frozenset((v.of, v.over)) for v in verdicts if v.kind == "preference"}
    ranked = sorted(players, key=lambda turn: -_strength(strength, turn))
    pairs: list[tuple[Turn, Turn]] = []
    while ranked:
        one = ranked.pop(0)
        other = next((o for o in ranked if frozenset((one.index, o.index)) not in met), None)
        if other is not None:
            ranked.remove(other)
            pairs.append((one, other) if one.index < other.index else (other, one))
    return pairs
