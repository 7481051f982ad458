"""Places at an engine: so many requests at once, the longest of those that wait first."""

import asyncio
from heapq import heappop, heappush

from ..engine import Queue
from .knee import Knee

GROWTH = 1.5
SHRINKAGE = 0.75
LOST = 0.5
"""What is left of the places after a refusal, and where the refused one's work was lost with it."""
SPARE = 8
"""An eighth of what runs may wait in the engine's own queue, so that it never runs dry."""


class Places:
    """Places that are taken and given back, and whose number follows what the engine can bear.

    Who waits is let in by rank, and by arrival where ranks are equal: a long prompt stands at the
    end of a long conversation, whose words the engine has read just now, and whose next turn waits
    for this one.
    """

    def __init__(self, most: int) -> None:
        """Begin with `most` places, which there will never be more of."""
        self.number: float = most
        """How many there are now."""
        self.taken = 0
        self._knee = Knee(most)
        self._arrivals = 0
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._refused = float("-inf")
        self._calm = 0.0
        self._seen: Queue | None = None

    async def take(self, rank: int) -> None:
        """Return once there is a place; the greatest `rank` is let in first."""
        if self.taken < self.number and not self._waiting:
            self.taken += 1
            return
        self._arrivals += 1
        let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (-rank, self._arrivals, let_in))
        try:
            await let_in
        except asyncio.CancelledError:
            if let_in.done() and not let_in.cancelled():
                self.leave()
            raise

    async def again(self, rank: int) -> None:
        """Return once who has a place may use it again: where there are fewer now, some wait."""
        if self.taken - 1 < self.number:
            return
        self.leave()
        try:
            await self.take(rank)
        except asyncio.CancelledError:
            self.taken += 1  # for who leaves it
            raise

    def leave(self) -> None:
        """Give a place back."""
        self.taken -= 1
        self._let_in()

    def refused(self, began: float, now: float, *, lost: bool = False) -> None:
        """Take note that the engine was asked too much at once: fewer than now are let in.

        A burst is refused as one: what was asked before the last time tells nothing new.

        Args:
            began: when the refused request was asked, in seconds.
            now: the time by the same clock.
            lost: whether it took all its time, and the engine's work on it is lost.
        """
        if began >= self._refused:
            self._refused = now
            share = LOST if lost else SHRINKAGE
            self._calm = self.number * share
            self._set(min(self.number, self.taken) * share)

    def served(self) -> None:
        """Take note that the engine answered: after as many answers there is one place more.

        One more after each, up to as many as there would be had all places been taken when it was
        last too much: where few were, that told little of more.
        """
        if self.number < self._knee.bound:
            self._set(self.number + (1 if self.number < self._calm else 1 / self.number))

    def seen(self, queue: Queue, now: float) -> None:
        """Take note of what the engine says, at some time in seconds.

        It is as busy as can be where something waits and it runs no more than a moment ago.  What
        waits beyond a few is read later for no gain, and what was preempted is read twice; so there
        are then as many places as it runs, and a few.  Where nothing waits and all places are
        taken, there is room for more, up to the engine's knee.
        """
        bound = self._knee.bound
        self._knee.seen(queue, now, self.number, full=self.taken >= self.number)
        if self._knee.bound != bound:
            self._set(self._knee.bound)
        before, self._seen = self._seen, queue
        if before is None:
            return
        if queue.preempted > before.preempted:
            self._set(queue.running * SHRINKAGE)
        elif queue.waiting > queue.running / SPARE + 1:
            if queue.running <= before.running:
                self._set(queue.running * (1 + 1 / SPARE))
        elif not queue.waiting and self.taken >= self.number:
            self._set(self.number * GROWTH)

    def idle(self) -> None:
        """Take note that nothing is asked for a while: what comes then may be another load."""
        self._knee.forget()
        self._seen = None

    def _set(self, number: float) -> None:
        self.number = min(self._knee.bound, max(1.0, number))
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self.taken < self.number:
            let_in = heappop(self._waiting)[2]
            if not let_in.done():
                self.taken += 1
                let_in.set_result(None)
