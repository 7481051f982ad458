"""The desk: questions wait here until somebody replies.

They are given out one by one in a random order, so that the two orders of a pair seldom follow each
other.  A page holds the question that it shows until it is answered, or until the page is closed or
left: so several people answer different ones.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..errors import EngineError
from ..types import Completion, Request, Weights
from .fitting import Unfit, fitting

LEFT_S, HELD_S = 60.0, 900.0
"""A page that hasn't asked for so long was closed, and one that shows a question for so long has
been left: others may answer then."""


@dataclass(slots=True)
class Question:
    """What is asked, by a name that no other question had in any run."""

    request: Request
    answered: asyncio.Future[str | None]
    """The reply; `None`: whoever was asked declined."""
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    page: str = ""
    """Which page holds it."""
    shown_s: float | None = None
    """When somebody first saw it, by a clock that only grows."""
    held_s: float = 0.0
    """When its page began to hold it."""
    seen_s: float = 0.0
    """When its page last asked for it."""

    @property
    def may_be_declined(self) -> bool:
        """Whether whoever is asked may say that they can't tell: not where words are wanted."""
        return bool(self.request.choices or self.request.shape)

    def free(self, now: float) -> bool:
        """Return whether any page may have it."""
        return not self.page or now - self.seen_s > LEFT_S or now - self.held_s > HELD_S


class Desk:
    """An engine whose words come from people."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing that waits; `clock` gives seconds that only grow."""
        self.address = ""
        """Where people find it."""
        self.replies = 0
        """How many came so far."""
        self._clock = clock
        self._waiting: dict[str, Question] = {}

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
        now = self._clock()
        took = now - (now if question.shown_s is None else question.shown_s)
        finish = "declined" if said is None else "stop"
        return Completion(said or "", finish, 0, tokens_in=0, tokens_out=0, latency_s=took)

    async def load(self, weights: Weights) -> None:
        """Refuse: people take no weights."""
        raise EngineError(f"people can't load weights ('{weights.name}')")

    async def held(self) -> Mapping[str, int]:
        """Return nothing: no weights can be given to people."""
        return {}

    def next(self, page: str) -> Question | None:
        """Return what is to be answered on a page; `None`: nothing that others don't hold."""
        now = self._clock()
        own = [q for q in self._waiting.values() if q.page == page]
        free = (q for q in self._waiting.values() if q.free(now))
        found = own[0] if own else min(free, key=lambda question: question.name, default=None)
        if found is not None:
            found.held_s = found.held_s if found.page == page else now
            found.page, found.seen_s = page, now
            found.shown_s = now if found.shown_s is None else found.shown_s
        return found

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
        if said is None and not question.may_be_declined:
            raise Unfit("Write something.")
        question.answered.set_result(None if said is None else fitting(said, question.request))
        del self._waiting[name]
        self.replies += 1
        return True
