"""The desk: questions wait here until somebody replies, one after the other, in a random order.

In that order the two orders of one pair don't follow each other.  A question that was shown stays
the next one until it is answered, by whoever is first.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..errors import EngineError
from ..types import Completion, Request, Weights


class Unfit(Exception):
    """A reply that can't be taken; its words are for who wrote it."""


@dataclass(slots=True)
class Question:
    """What is asked, by a name that no other question had in any run."""

    request: Request
    answered: asyncio.Future[str | None]
    """The reply; `None`: whoever was asked declined."""
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    shown_s: float | None = None
    """When somebody first saw it, by a clock that only grows."""


class Desk:
    """An engine whose words come from people."""

    def __init__(self) -> None:
        self.address = ""
        """Where people find it."""
        self.replies = 0
        """How many came so far."""
        self._waiting: dict[str, Question] = {}
        self._next: Question | None = None

    @property
    def greeting(self) -> str:
        """Where people are awaited."""
        return f"people answer at {self.address}"

    @property
    def waiting(self) -> int:
        """How many questions nobody has answered."""
        return len(self._waiting)

    async def generate(self, request: Request) -> Completion:
        """Return what somebody replied, however long it took."""
        if request.version:
            raise EngineError("people speak with no weights but their own")
        if len(request.choices) == 1:
            raise EngineError(
                "people can't tell how likely a given reply is; engines of kind local and vllm can"
            )
        question = Question(request, asyncio.get_running_loop().create_future())
        self._waiting[question.name] = question
        try:
            said = await question.answered
        finally:
            self._waiting.pop(question.name, None)
        took = time.monotonic() - (question.shown_s or time.monotonic())
        finish = "declined" if said is None else "stop"
        return Completion(said or "", finish, 0, tokens_in=0, tokens_out=0, latency_s=took)

    async def load(self, weights: Weights) -> None:
        """Refuse: people take no weights."""
        raise EngineError(f"people can't load weights ('{weights.name}')")

    async def held(self) -> Mapping[str, int]:
        """Return nothing: no weights can be given to people."""
        return {}

    def next(self) -> Question | None:
        """Return what somebody is to answer now; `None`: nothing waits."""
        if self._next is None or self._next.name not in self._waiting:
            self._next = self._waiting[min(self._waiting)] if self._waiting else None
        if self._next is not None and self._next.shown_s is None:
            self._next.shown_s = time.monotonic()
        return self._next

    def take(self, name: str, said: str | None) -> bool:
        """Take a reply, and return whether it was still wanted.

        Args:
            name: the question's.
            said: `None`: whoever was asked declines.

        Raises:
            Unfit: it can't be taken as it is.
        """
        question = self._waiting.get(name)
        if question is None or question.answered.done():  # nobody waits for it any more
            return False
        question.answered.set_result(None if said is None else fit(said, question.request))
        del self._waiting[name]
        self.replies += 1
        return True


def fit(said: str, request: Request) -> str:
    """Return a reply without the space around it.

    Raises:
        Unfit: it is empty, no choice, or no JSON where JSON is wanted.
    """
    said = said.strip()
    if not said:
        raise Unfit("Write something, or decline.")
    if request.choices and said not in request.choices:
        raise Unfit(f"Choose one of {', '.join(request.choices)}.")
    if request.shape:
        try:
            if not isinstance(json.loads(said), dict):
                raise Unfit('JSON in braces is wanted: {"...": ...}')
        except (ValueError, RecursionError) as error:
            raise Unfit(f"This is no JSON: {error}") from None
    return said
