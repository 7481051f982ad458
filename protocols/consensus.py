"""Consensus: every policy answers alone, and the answers vote (arXiv:2203.11171).

A vote may weigh the answers: by how sure agents say they are (as in ReConcile, arXiv:2309.13007),
by how likely their models find what they said, by the verdicts that policies learnt to give (LaSeR,
arXiv:2510.14943), or by how reliable agents were so far.
"""

from collections.abc import Mapping, Sequence
from math import exp
from typing import Literal

from pydantic import Field

from moot.agents.population import Agent, Population, acting
from moot.agents.task import Task
from moot.agents.types import Settings

from .asking import TRIES, Wishes
from .confidence import by_confidence, confidences
from .lessons import demonstrations, preferences
from .likelihood import mean_logprob
from .sample import answers
from .self_reward import self_rewards, weight
from .types import Outcome, Script, Signal, Turn, Verdict
from .voting import plurality

VOTED: frozenset[Signal] = frozenset({"reference", "preferences", "demonstrations"})
"""What a vote gives to learn from."""
Weigh = Literal["equal", "confidence", "likelihood", "self_reward", "trust"]
"""What decides how much an answer counts in a vote."""


class Consensus(Settings):
    """The answer that most is said for is the population's answer and its reference.

    Unreadable answers, and weights, abstain; if nobody gave a readable answer there is no
    reference, and the episode teaches nothing.
    """

    kind: Literal["consensus"] = "consensus"
    samples: int = Field(default=1, ge=1, le=10_000)
    """Answers from each policy."""
    weigh: Weigh = "equal"
    """How much each vote counts: all alike (`equal`); how sure the agent says it is, recalibrated;
    the geometric mean probability of its tokens, if the engine reports it; the agent's own verdict
    on it, learnt by `laser` (all alike if no verdict is learnt, or no answer is held right at all);
    or the agent's trust, from what it judged in earlier cycles."""
    ties: Literal["drawn", "first", "none"] = "drawn"
    """Who wins a tie: one of the answers, drawn; the one given first; or none. In any case it gives
    no preferences and no demonstrations."""
    quorum: float = Field(default=0.0, ge=0, le=1)
    """The least share of the readable answers' weight that a winner needs; below it there is
    none."""

    unreadable: Literal["out", "lost"] = "out"
    """What an answer that can't be read is to preferences: none of them, or one that lost. A reward
    model that was never shown any may find them the best."""

    @property
    def yields(self) -> frozenset[Signal]:
        """The majority's answer, and those that gave it over the others."""
        return VOTED

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one vote."""
        turns = yield answers(task, people, self.samples)
        counts = yield from weighed(turns, self.weigh)
        said = [turn.answer for turn in turns]
        vote = plurality(None if self.ties == "first" else task, said, counts)
        nobody = vote.tied and self.ties == "none"
        won = vote.winner if (vote.share or 0.0) >= self.quorum and not nobody else None
        taught = None if vote.tied else won
        equal, given = self.weigh == "equal", giving(task, turns, won)
        return Outcome(
            verdicts=ruled(turns, won, turns, None if equal else counts),
            reference=given and given.text,
            source=given and given.index,
            answer=won,
            majority=None if equal else plurality(task, said).winner,
            preferences=preferences(task, turns, turns, taught, self.unreadable == "out"),
            demonstrations=demonstrations(turns, turns, taught),
            notes={"tied": float(vote.tied)} | ({} if equal else unweighed(turns, counts)),
        )

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks at most."""
        policies = people.playing("policy")
        most = dict.fromkeys(policies, self.samples)
        if self.weigh == "confidence":
            most |= {acting(policy, "judge"): TRIES * self.samples for policy in policies}
        if self.weigh == "self_reward":
            most |= {acting(policy, "judge"): self.samples for policy in policies}
        return most


def weighed(turns: Sequence[Turn], by: Weigh) -> Wishes[list[float | None]]:
    """Return how much each answer counts; `None`: it can't be told."""
    match by:
        case "equal":
            return [1.0 for _ in turns]
        case "confidence":
            return by_confidence(turns, (yield from confidences(turns)))
        case "likelihood":
            return [None if (p := mean_logprob(t)) is None else exp(p) for t in turns]
        case "self_reward":
            weights = [weight(verdict) for verdict in (yield from self_rewards(turns))]
            return weights if any(weights) else [1.0 for _ in turns]
        case "trust":
            return [turn.agent.trust for turn in turns]


def unweighed(turns: Sequence[Turn], weights: Sequence[float | None]) -> dict[str, float | None]:
    """Return the share of the readable answers whose weight can't be told."""
    read = [w is None for t, w in zip(turns, weights, strict=True) if t.answer is not None]
    return {"unweighed": sum(read) / len(read) if read else None}


def concluded(
    task: Task,
    first: Sequence[Turn],
    last: Sequence[Turn],
    turns: Sequence[Turn],
    weights: Sequence[float | None] | None = None,
    **notes: float | None,
) -> Outcome:
    """Return what a vote of the last answers gives, beside what one of the first would have.

    A tie goes to one of the answers, drawn, and gives no preferences and no demonstrations.

    Args:
        task: what was answered.
        first: what was answered before anything was heard.
        last: the answers that stand.
        turns: all answers, each to be graded.
        weights: how much each of the last answers counts; left out: all count alike.
        notes: what else was counted.
    """
    vote = plurality(task, [turn.answer for turn in last], weights)
    won = vote.winner
    taught = None if vote.tied else won
    given = giving(task, last, won)
    return Outcome(
        verdicts=ruled(turns, won, last, weights),
        reference=given and given.text,
        source=given and given.index,
        answer=won,
        majority=plurality(task, [turn.answer for turn in first]).winner,
        preferences=preferences(task, first, last, taught),
        demonstrations=demonstrations(first, last, taught),
        notes={"tied": float(vote.tied), **notes},
    )


def giving(task: Task, turns: Sequence[Turn], answer: str | None) -> Turn | None:
    """Return a turn that gives `answer`, drawn of all that do; `None`: none does."""
    some = [turn for turn in turns if answer is not None and turn.answer == answer]
    return task.drawing("giving").choice(some) if some else None


def ruled(
    turns: Sequence[Turn],
    won: str | None,
    voting: Sequence[Turn],
    weights: Sequence[float | None] | None,
) -> tuple[Verdict, ...]:
    """Return which turns give what won, and how much each readable answer counted in the vote.

    Args:
        turns: all answers, each to be graded.
        won: the answer that won; `None`: none did, and nothing is graded.
        voting: the answers that voted.
        weights: how much each of those counts, `None` where it can't be told; left out: all count
            alike, which needs no telling.
    """
    votes = zip(voting, weights, strict=True) if weights is not None else ()
    counted = (Verdict(t.index, "weight", w) for t, w in votes if t.answer is not None)
    return (*(matches(turns, won) if won is not None else ()), *counted)


def matches(turns: Sequence[Turn], reference: str, by: int | None = None) -> tuple[Verdict, ...]:
    """Return, for each turn, whether its answer is `reference`; unreadable ones are `None`."""
    return tuple(
        Verdict(t.index, "match", None if t.answer is None else float(t.answer == reference), by)
        for t in turns
    )
