"""A duel: what two policies say to a task is compared, answer by answer.

It is how an evaluation asks judges whether what was learnt is better than what was there before;
the share of answers that win is the win rate (Li et al., AlpacaEval, 2023).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from moot.agents.population import Agent, Population
from moot.agents.task import Task

from .judging import Comparing
from .judging.panel import even, games
from .types import Episode, Outcome, Say, Script, Signal


@dataclass(frozen=True, slots=True)
class Duel:
    """Two policies answer so often each, and judges compare the two answers of each time."""

    judging: Comparing
    samples: int = 1
    kind: str = "duel"
    yields: frozenset[Signal] = frozenset()

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one duel: the first policy speaks in the turns of even number."""
        one, other = people.playing("policy")
        asked = (Say(agent, task.prompt) for _ in range(self.samples) for agent in (one, other))
        said = yield [*asked]
        pairs = [*zip(said[::2], said[1::2], strict=True)]
        unlike = [(a, b) for a, b in pairs if a.text != b.text]
        verdicts = yield from self.judging.compare(task, unlike, people.playing("judge"))
        return Outcome(tuple(verdicts))

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks at most."""
        judged = dict.fromkeys(people.playing("judge"), self.samples * self.judging.calls(2))
        return {**dict.fromkeys(people.playing("policy"), self.samples), **judged}


def wins(episode: Episode) -> list[float]:
    """Return how each of a duel's pairs ended for the first policy: won (1), lost (0) or even (.5).

    Answers that are word for word the same are even; a pair that nobody could judge isn't there.
    """
    told = {of: 0.5 if even(p) else float(p > 0.5) for of, _, p in games(episode.outcome.verdicts)}
    answers = [turn for turn in episode.turns if turn.agent.role == "policy"]
    for one, other in zip(answers[::2], answers[1::2], strict=True):
        if one.text == other.text:
            told[one.index] = 0.5
    return [told[turn.index] for turn in answers[::2] if turn.index in told]
