"""Judged: policies talk, and judges say how good what they said is.

The AI feedback of RLAIF (arXiv:2309.00267) and of self-rewarding models (arXiv:2401.10020): what is
judged are the last answers of any talk; what comes of it are preferences and grades.  Where the
talk gives no reference of its own the best answer, as judged, is the population's.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Settings

from .judging import JudgingChoice
from .judging.pairwise import Pairwise
from .judging.panel import ROUNDING, counted
from .sample import Sample
from .talk import TalkChoice, most_standing, played, shown, standing
from .types import Outcome, Preference, Script, Signal, Turn, Verdict, grades
from .voting import plurality

JUDGED: frozenset[Signal] = frozenset({"preferences", "grades"})


class Judged(Settings):
    """Policies talk, and judges compare or grade their last answers."""

    kind: Literal["judged"] = "judged"
    talk: TalkChoice = Sample()
    """The protocol whose answers are judged."""
    judging: JudgingChoice = Pairwise()
    """How it is judged."""
    margin: float = Field(default=0.0, ge=0, lt=1)
    """How far apart two answers must be for a preference: in grades, or in probability from even
    (0) to certain (1)."""

    @property
    def yields(self) -> frozenset[Signal]:
        """What the talk gives, and what the judges do."""
        return self.talk.yields | JUDGED

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one episode."""
        turns, talked = yield from played(self.talk(task, people))
        replies = standing(turns)
        seen, judges = shown(self.talk, task), people.playing("judge")
        verdicts = yield from self.judging.judge(seen, replies, judges)
        # What an agent was asked before it had heard anybody; who had is taken for asked the first.
        opening = {turn.agent.name: turn.index for turn in reversed(turns) if not turn.heard}
        preferences = tuple(
            Preference(
                opening.get(a.agent.name, turns[0].index),
                a.index,
                b.index,
                p,
                behind(verdicts, a, b),
            )
            for a, b, p in preferred(task, replies, verdicts, self.margin)
        )
        found = replace(
            talked,
            verdicts=(*talked.verdicts, *verdicts),
            preferences=preferences,  # a vote's may say the opposite
            notes={**talked.notes, **counted(verdicts)},
        )
        return answered(task, found, self.talk, replies)

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks at most."""
        most = Counter(self.talk.calls(people))
        each = self.judging.calls(most_standing(self.talk, people))
        most.update(dict.fromkeys(people.playing("judge"), each))
        return most


def preferred(
    task: Task, replies: Sequence[Turn], verdicts: Sequence[Verdict], margin: float
) -> list[tuple[Turn, Turn, float]]:
    """Return which replies the panel finds better than which, and how likely that is.

    Each pair that it compared; or where it graded them one by one, the best over the worst, as in
    self-rewarding models, with probability 1: grades don't tell.  There is none between equals; of
    several best ones, or worst, one is drawn.
    """
    turns = {turn.index: turn for turn in replies}
    panel = [(v, v.score) for v in verdicts if v.by is None and v.score is not None]
    pairs = [(turns[v.of], turns[v.over], p) for v, p in panel if v.over is not None]
    if pairs:
        unlike = [(a, b, p) for a, b, p in pairs if a.text != b.text]
        decided = [(a, b, p) if p > 0.5 else (b, a, 1 - p) for a, b, p in unlike]
        return [one for one in decided if _apart(2 * one[2] - 1, margin)]
    read = _graded(task, replies, verdicts)
    if not read:
        return []
    (high, best), (low, worst) = (end(read, key=lambda one: one[0]) for end in (max, min))
    better = best.text != worst.text and _apart(high - low, margin)
    return [(best, worst, 1.0)] if better else []


def _apart(by: float, margin: float) -> bool:
    """Return whether two are `margin` apart, and no equals, whatever the rounding."""
    return by > ROUNDING and by >= margin - ROUNDING


def behind(verdicts: Sequence[Verdict], better: Turn, worse: Turn) -> tuple[int, ...]:
    """Return the turns of the judges who decided between the two, or graded either."""
    two = {better.index, worse.index}
    if told := next((v.behind for v in verdicts if {v.of, v.over} == two and v.behind), ()):
        return told
    own = [v for v in verdicts if v.by is not None and v.score is not None]
    judges = (v.by for v in own if v.by is not None and {v.of, v.over} - {None} <= two)
    return tuple(dict.fromkeys(judges))


def answered(task: Task, found: Outcome, talk: TalkChoice, replies: Sequence[Turn]) -> Outcome:
    """Return the outcome with the best reply, as judged, for the population's answer.

    Where the talk gives a reference it has concluded something itself, and that stands.
    """
    if "reference" in talk.yields:
        return found
    vote = plurality(task, [turn.answer for turn in replies])
    return replace(found, answer=best(task, replies, found.verdicts), majority=vote.winner)


def best(task: Task, replies: Sequence[Turn], verdicts: Sequence[Verdict]) -> str | None:
    """Return the readable answer that has the panel's best grade, of equals one that is drawn."""
    said = {turn.answer for turn in replies} - {None}
    if len(said) == 1:  # there was nothing to judge between
        return said.pop()
    read = _graded(task, replies, verdicts)
    given = [(grade, turn.answer) for grade, turn in read if turn.answer is not None]
    return max(given, key=lambda one: one[0])[1] if given else None


def _graded(
    task: Task, replies: Sequence[Turn], verdicts: Sequence[Verdict]
) -> list[tuple[float, Turn]]:
    """Return the replies with their grades in a drawn order, so that one of equals comes first."""
    found, drawn = grades(verdicts), task.shuffled(replies, "best")
    return [(found[turn.index], turn) for turn in drawn if turn.index in found]
