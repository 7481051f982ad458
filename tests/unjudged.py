"""Answers that LaSeR is to give verdicts on."""

from moot.agents.types import Message
from moot.training.data.examples import Known, Rollout, Said
from moot.training.policy_gradient.objective import Objective

PLAIN = Objective(kl=0)


def answer(i: int, reward: float, probe: float | None = None, finish: str = "stop") -> Rollout:
    known = Known(probe=probe, anchor_probe=None if probe is None else -23.0)
    prompt = (Message("user", f"question {i // 4}"),)
    said = Said(prompt, "x", (20 + i % 2, 30 + i % 2), finish=finish, known=known)
    return Rollout(f"e{i // 4}", i, 0, "a", "w", 0, said, reward)
