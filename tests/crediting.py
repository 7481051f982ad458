"""Objectives and rollouts, for the tests of what an objective credits and of its losses."""

from typing import Any

from pydantic import TypeAdapter

from moot.agents.types import Message
from moot.training.data.examples import Rollout, Said
from moot.training.policy_gradient.objective import Named, Objective


def objective(settings: Any) -> Objective:
    return TypeAdapter(Named).validate_python(settings)


def rollout(reward: float | None, *, tokens: tuple[int, ...] = (8, 9), **named: Any) -> Rollout:
    """Return a completion of `tokens` after the prompt's one, in a group of its own choice."""
    of_said = {
        key: named.pop(key) for key in ("known", "finish", "most", "logprobs") if key in named
    }
    asked = (Message("user", "?"),)
    words = Said(asked, "!", tokens=tokens, prompt_tokens=(7,), length=len(tokens), **of_said)
    usual: dict[str, Any] = {"episode": "e", "turn": 0, "round": 1, "weights": "w"}
    return Rollout(agent="a", version=1, said=words, reward=reward, **{**usual, **named})
