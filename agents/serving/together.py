"""Samples of one prompt that are asked of a vLLM server in one request.

vLLM gives sample i of a request the request's seed and i.  So requests that differ by their seeds
alone, each by one more than the last, as those of a round's turns do, get from one request what
each would get from its own; and their prompt is sent, checked and made tokens of once.

An answer comes when all samples of its request have ended.  Short ones end about together; long
ones would keep others out, and be lost together, until the longest has ended: they are asked alone.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..chat import Reply, ask, clipped, sample
from ..errors import Fault
from ..types import Completion, Request
from ..wire import Wire

Told = tuple[Completion, Reply]

SHORT = 64
"""Samples of at most so many tokens are asked together."""
MOST = 64
"""So many samples are asked in one request at most."""


@dataclass(slots=True)
class _Batch:
    """Requests that go as one: the first, which asks for all, and those that follow it."""

    seed: int
    others: list[asyncio.Future[Told]] = field(default_factory=list[asyncio.Future[Told]])

    @property
    def next(self) -> int:
        """The seed of the one that may follow."""
        return self.seed + 1 + len(self.others)


class Together:
    """What is asked of one server at the same moment."""

    def __init__(self, wire: Wire) -> None:
        """Send through `wire`."""
        self._wire = wire
        self._open: dict[object, _Batch] = {}

    async def ask(self, model: str, request: Request, more: Mapping[str, Any]) -> Told:
        """Return what `model` says, as version 0, beside the answer that tells so.

        Args:
            model: the server's name for what is to speak.
            request: one without choices.
            more: what else stands in its body; it is the same for requests of one shape.
        """
        sampling = request.sampling
        if sampling.max_tokens > SHORT or not sampling.temperature:  # vLLM refuses several equals
            return await ask(self._wire, model, request, more)
        key = (model, request.prompt, sampling, request.shape)
        seed = clipped(request.seed)
        batch = self._open.get(key)
        if batch is not None and seed == batch.next and len(batch.others) < MOST - 1:
            place: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
            batch.others.append(place)
            return await place
        batch = self._open[key] = _Batch(seed)
        try:
            try:
                await asyncio.sleep(0)  # the rest of the round has its turn
            finally:
                if self._open.get(key) is batch:
                    del self._open[key]
            said, reply = await sample(self._wire, model, request, more, 1 + len(batch.others))
        except BaseException as error:
            why = (
                error
                if isinstance(error, Exception)
                else Fault(f"{self._wire.root}: the request that it was part of was given up")
            )
            for place in batch.others:
                if not place.done():
                    place.set_exception(why)
            raise
        for place, completion in zip(batch.others, said[1:], strict=True):
            if not place.done():
                place.set_result((completion, reply))
        return said[0], reply
