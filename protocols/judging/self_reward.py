"""Self-reward: the verdict that a policy trained by LaSeR reads off one token (arXiv:2510.14943).

A judge here is a policy too, and one that learnt to give verdicts: `role: [policy, judge]`.
"""

from collections.abc import Sequence
from typing import Literal

from moot.agents.population import Agent
from moot.agents.task import Task
from moot.agents.types import Settings

from ..asking import Wishes
from ..self_reward import verdict_on, weight
from ..types import Turn, Verdict
from .panel import Score, graded


class SelfReward(Settings):
    """Judges grade each reply by the verdict that they learnt to give; nothing is generated."""

    kind: Literal["self_reward"] = "self_reward"

    def judge(
        self, task: Task, replies: Sequence[Turn], judges: Sequence[Agent]
    ) -> Wishes[list[Verdict]]:
        """Return every judge's grades, then the panel's.

        Who never learnt to judge is not asked; a reply that was cut off is judged by nobody.
        """
        whole = [reply for reply in replies if reply.text and reply.completion.finish == "stop"]
        asked = [(judge, reply) for reply in whole for judge in judges if judge.version]
        says = [verdict_on(task, judge, reply) for judge, reply in asked]
        turns = (yield says) if says else []
        verdicts: list[Verdict] = []
        found: dict[int, list[Score]] = {reply.index: [] for reply in replies}
        for (judge, reply), turn in zip(asked, turns, strict=True):
            score = weight(turn.completion.verdict)
            verdicts.append(Verdict(reply.index, "grade", score, by=turn.index))
            found[reply.index].append((judge, score))
        return [*verdicts, *graded(task, found)]

    def calls(self, replies: int) -> int:
        """Return how often each judge speaks at most, of so many replies."""
        return replies
