"""Self-reward: the verdicts of policies that learnt to tell right answers (LaSeR, 2510.14943).

Nothing is generated: a reply is put into the mouth of who judges, after the bare question, and its
engine reads the verdict off the token after it.  Weights that never learnt to give verdicts, as
all are in the first cycle, give none.  The paper's own use is a policy's verdicts on its own
answers, for a weighted vote or the best of n; a judge may hold any reply against what it learnt.
"""

from collections.abc import Sequence

from moot.agents.population import Agent, acting
from moot.agents.task import Task

from .asking import Wishes
from .fence import unmarked
from .types import Say, Turn


def self_rewards(answers: Sequence[Turn]) -> Wishes[list[float | None]]:
    """Return the verdict on each answer of who gave it; `None`: there is none.

    It is about 1 where the answer is held right and 0 where it is held wrong.  Who gave it speaks
    as a judge then.  As in the paper an answer that ran into its most tokens has a verdict of 0,
    for none was learnt of such.
    """
    due = [turn for turn in answers if turn.answer is not None and _whole(turn)]
    says = [_own(turn) for turn in due if turn.agent.version]
    turns = (yield says) if says else []
    given = {turn.heard[-1]: turn.completion.verdict for turn in turns}
    telling = {turn.agent.weights for turn in turns if turn.completion.verdict is not None}
    return [
        given.get(turn.index) if _whole(turn) or turn.agent.weights not in telling else 0.0
        for turn in answers
    ]


def weight(verdict: float | None) -> float | None:
    """Return a verdict within [0, 1]."""
    return None if verdict is None else min(1.0, max(0.0, verdict))


def _whole(turn: Turn) -> bool:
    return turn.completion.finish == "stop"


def verdict_on(task: Task, judge: Agent, reply: Turn) -> Say:
    """Return the wish for a judge's verdict on a reply."""
    return Say(judge, task.prompt, (reply.index,), choices=(unmarked(reply.text),), verdict=True)


def _own(turn: Turn) -> Say:
    """Return the wish for a verdict on one's own words, as a reply to what one was asked."""
    *before, asked = turn.prompt
    return Say(
        acting(turn.agent, "judge"),
        asked.content,
        (*turn.heard, turn.index),
        tuple(said for said in before if said.role != "system"),
        choices=(unmarked(turn.text),),
        verdict=True,
    )
