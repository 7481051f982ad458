"""Several servers of one model as one engine: who begins alike is sent to the same one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import astuple, replace
from hashlib import blake2b
from typing import Protocol, TypeVar

from ..engine import Engine, Queue, Resting, Telling
from ..errors import Fault, Gone
from ..types import Completion, Request, Weights

T = TypeVar("T")

SLACK = 1.25
"""So many times its share one may have under way before others are asked instead."""
SICK_S = 5.0
"""For so long others are asked instead of one that failed."""
BEGINNING = 512
"""So many characters of a prompt tell whether another begins alike."""


class Replica(Engine, Telling, Resting, Protocol):
    """One server of a fleet's."""

    @property
    def root(self) -> str:
        """Where it serves."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it serves now, as far as is known."""
        ...


class Fleet:
    """Replicas that share the work.  What one server has read of a prompt helps that server alone,
    so each prompt has an order in which it goes through them; it takes the first that is well and
    not much busier than the others.
    """

    def __init__(self, replicas: Sequence[Replica]) -> None:
        """Begin with all of them well; there is at least one."""
        self._replicas = list(replicas)
        self._under_way = dict.fromkeys(self._replicas, 0)
        self._sick: dict[Replica, float] = {}
        self._told: dict[Replica, Queue] = {}

    async def generate(self, request: Request) -> Completion:
        """Return one replica's completion; a fault where another may answer the next time."""
        replica = self._choose(request)
        self._under_way[replica] += 1
        try:
            return await replica.generate(request)
        except Fault:
            self._sick[replica] = asyncio.get_running_loop().time() + SICK_S
            raise
        except Gone as error:
            self._lose(replica, error)
            raise Fault(f"{error}; {len(self._replicas)} go on") from None
        finally:
            self._under_way[replica] -= 1

    async def everywhere(self, request: Request) -> Sequence[Completion]:
        """Return what each replica makes of one request."""
        return await self._all(lambda replica: replica.generate(request))

    async def load(self, weights: Weights) -> None:
        """Have all replicas serve `weights`."""
        await self._all(lambda replica: replica.load(weights))

    async def held(self) -> Mapping[str, int]:
        """Return the version of each weights that all replicas hold; others are left out."""
        found = await self._all(lambda replica: replica.held())
        return {
            name: version
            for name, version in found[0].items()
            if all(one.get(name) == version for one in found)
        }

    async def queue(self) -> Queue | None:
        """Return what all of them together tell; one that doesn't now has done nothing since."""
        asked = (replica.queue() for replica in self._replicas)
        seen = await asyncio.gather(*asked, return_exceptions=True)
        if not any(isinstance(one, Queue) for one in seen):
            return None
        for replica, one in zip(self._replicas, seen, strict=True):
            if isinstance(one, Queue):
                self._told[replica] = one
            elif replica in self._told:
                self._told[replica] = replace(self._told[replica], running=0, waiting=0)
        told = (astuple(self._told[one]) for one in self._replicas if one in self._told)
        return Queue(*map(sum, zip(*told, strict=True)))

    async def rest(self) -> None:
        """Have all replicas leave the GPU's memory to others, until the next call."""
        await self._all(lambda replica: replica.rest())

    def _choose(self, request: Request) -> Replica:
        now = asyncio.get_running_loop().time()
        well = [one for one in self._replicas if one.ready and self._sick.get(one, 0.0) <= now]
        among = well or self._replicas
        most = SLACK * (sum(self._under_way[one] for one in among) + 1) / len(among)
        free = [one for one in among if self._under_way[one] + 1 <= max(1.0, most)]
        start = beginning(request)
        return max(free or among, key=lambda one: _affinity(start, one.root))

    async def _all(self, call: Callable[[Replica], Awaitable[T]]) -> list[T]:
        """Return what each replica makes of a call; those that are gone for good make nothing."""
        asked = list(self._replicas)
        found = await asyncio.gather(*map(call, asked), return_exceptions=True)
        results: list[T] = []
        for replica, one in zip(asked, found, strict=True):
            if isinstance(one, Gone):
                self._lose(replica, one)
            elif isinstance(one, BaseException):
                raise one
            else:
                results.append(one)
        return results

    def _lose(self, replica: Replica, error: Gone) -> None:
        """Go on without a replica; without the last one there is no going on."""
        if replica in self._replicas:
            if len(self._replicas) == 1:
                raise error
            self._replicas.remove(replica)


def beginning(request: Request) -> str:
    """Return what tells who speaks, and how its prompt begins."""
    said = "\n".join(message.content for message in request.prompt[:2])
    return f"{request.weights}@{request.version}\n{said[:BEGINNING]}"


def _affinity(beginning: str, root: str) -> bytes:
    """Return how gladly a prompt goes to a server: an order of its own for every prompt.

    When one is lost, only what went there goes elsewhere (rendezvous hashing: Thaler and
    Ravishankar, 1998).
    """
    return blake2b(f"{root}\n{beginning}".encode(errors="replace"), digest_size=8).digest()
