"""Confidence: how sure agents say they are of their own answers (ReConcile, arXiv:2309.13007).

The paper asks for answer and confidence at once, in JSON.  Here an answer comes first, as it would
without a question after it, and each agent is then asked in the same chat how sure it is, in
tenths: so what it answered can be read by any verifier (the last number in "42, confidence 0.8" is
0.8) and learnt from.  Where the engine tells how likely each tenth is, the mean counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moot.agents.population import acting

from .asking import Wishes, choose
from .fence import exchange
from .types import Say, Turn

SURE = """\
How sure are you that this answer is right, from 0 (it is wrong) to 10 (it is right)? Reply with \
the number only."""
TENTHS = tuple(str(tenth) for tenth in range(11))
RECALIBRATED = (*(0.1,) * 7, 0.3, 0.5, 0.8, 1.0)
"""What each tenth weighs in the paper's vote, for models say that they are surer than they are."""


@dataclass(frozen=True, slots=True)
class Confidence:
    """How sure an agent says it is of an answer of its own."""

    stated: float
    """In [0, 1]."""
    weight: float
    """The same recalibrated, in [0.1, 1]."""
    by: int
    """The turn that says it."""


def confidences(answers: Sequence[Turn]) -> Wishes[Mapping[int, Confidence]]:
    """Ask who gave a readable answer how sure it is; return what can be read, by the answer's turn.

    An agent speaks as a judge then, for what it says is not its answer.
    """
    readable = [turn for turn in answers if turn.answer is not None]
    replies = yield from choose([_say(turn) for turn in readable])
    return {
        answer.index: confidence(reply.read, reply.turn.index)
        for answer, reply in zip(readable, replies, strict=True)
        if reply.read is not None
    }


def by_confidence(answers: Sequence[Turn], sure: Mapping[int, Confidence]) -> list[float | None]:
    """Return what each answer weighs in a vote; `None`: nobody says how sure it is of it."""
    return [sure[turn.index].weight if turn.index in sure else None for turn in answers]


def confidence(shares: Sequence[float], by: int) -> Confidence:
    """Return how sure one is who finds each tenth this likely."""
    stated = sum(share * tenth for tenth, share in enumerate(shares)) / 10
    weight = sum(share * weight for share, weight in zip(shares, RECALIBRATED, strict=True))
    return Confidence(stated, weight, by)


def _say(answer: Turn) -> Say:
    chat = exchange(answer.prompt[-1].content, answer)
    heard = (*answer.heard, answer.index)
    return Say(acting(answer.agent, "judge"), SURE, heard, chat, choices=TENTHS)
