"""Batching: requests that wait are answered together, by one thread that does nothing else."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any, Protocol

from ..errors import EngineError, MootError, in_one_line
from ..types import Completion, Request, Weights


class Speaker(Protocol):
    """What answers a batch; it is only ever called by one thread."""

    def speak(
        self, requests: Sequence[Request], unwanted: Sequence[Callable[[], bool]]
    ) -> Sequence[Completion | EngineError]:
        """Return what becomes of each request; `unwanted` tells whose caller went away."""
        ...

    def load(self, weights: Weights) -> None:
        """Take up `weights` in place of their earlier version."""
        ...

    def held(self) -> Mapping[str, int]:
        """Return the version held of each weights."""
        ...


@dataclass(slots=True, eq=False)
class Job:
    """A request, or weights to take up, that someone waits for."""

    wish: Request | Weights
    done: asyncio.Future[Any]
    text: str = field(init=False, default="")
    """A request's prompt: rows that are alike in it are answered together."""
    speaker: str | None = field(init=False, default=None)
    """The weights that a request is for; `None`: the base model, as version 0 of any is."""

    def __post_init__(self) -> None:
        if isinstance(self.wish, Request):
            self.text = "\n".join(message.content for message in self.wish.prompt)
            self.speaker = self.wish.weights if self.wish.version else None


class Batching:
    """An engine made of a speaker and the thread that it speaks on."""

    def __init__(self, speaker: Speaker, thread: Executor, batch: int) -> None:
        """Answer at most `batch` requests together; nothing is answered until `serve` runs."""
        self._speaker = speaker
        self._thread = thread
        self._batch = batch
        self._waiting: list[Job] = []
        self._at_work: list[Job] = []
        self._arrived = asyncio.Event()
        self._closed = False

    async def generate(self, request: Request) -> Completion:
        """Return the completion of one request, which took as long as its batch did."""
        completion: Completion = await self._ask(request)
        return completion

    async def load(self, weights: Weights) -> None:
        """Take up `weights`, after all that was asked before and before all that is asked after."""
        await self._ask(weights)

    async def held(self) -> Mapping[str, int]:
        """Return the version held of each weights."""
        return self._speaker.held()

    async def serve(self) -> None:
        """Answer what is asked, until cancelled; what still waits then gets an error."""
        try:
            while True:
                await self._arrived.wait()
                await self._settled()
                await self._work()
                if not self._waiting:
                    self._arrived.clear()
        finally:
            self._closed = True
            for job in self._at_work + self._waiting:
                if not job.done.done():
                    job.done.set_exception(EngineError("the engine was closed"))

    async def _ask(self, wish: Request | Weights) -> Any:
        if self._closed:
            raise EngineError("the engine was closed")
        job = Job(wish, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._arrived.set()
        return await job.done

    async def _settled(self) -> None:
        """Let everyone who is about to ask do so: what comes together is answered together."""
        seen = 0
        while len(self._waiting) > seen:
            seen = len(self._waiting)
            await asyncio.sleep(0)

    async def _work(self) -> None:
        """Do the next piece of work: one load, or one batch."""
        self._waiting = [job for job in self._waiting if not job.done.done()]
        if not self._waiting:
            return
        self._at_work = jobs = pick(self._waiting, self._batch)
        taken = set(jobs)
        self._waiting = [job for job in self._waiting if job not in taken]
        loop = asyncio.get_running_loop()
        try:
            results = await loop.run_in_executor(self._thread, self._do, jobs)
        except Exception as error:  # whatever it is, it concerns these jobs alone
            results = [_told(error, len(jobs)) for _ in jobs]
        for job, result in zip(jobs, results, strict=True):
            if job.done.done():
                continue
            if isinstance(result, EngineError):
                job.done.set_exception(result)
            else:
                job.done.set_result(result)
        self._at_work = []

    def _do(self, jobs: Sequence[Job]) -> Sequence[Completion | EngineError | None]:
        first = jobs[0].wish
        if isinstance(first, Weights):
            self._speaker.load(first)
            return [None]
        requests = [job.wish for job in jobs if isinstance(job.wish, Request)]
        start = time.monotonic()
        found = self._speaker.speak(requests, [job.done.done for job in jobs])
        took = time.monotonic() - start
        return [
            replace(one, latency_s=took) if isinstance(one, Completion) else one for one in found
        ]


def pick(waiting: Sequence[Job], most: int) -> list[Job]:
    """Return what to do next: the oldest job, and at most `most` requests that go well with it.

    Those are for the same weights, of its own prompt first, then of prompts about as long.  No
    request overtakes a load.
    """
    oldest = waiting[0]
    if isinstance(oldest.wish, Weights):
        return [oldest]
    ready = takewhile(lambda job: isinstance(job.wish, Request), waiting)
    alike = [job for job in ready if job.speaker == oldest.speaker]
    if len(alike) <= most:
        return alike
    return sorted(
        alike,
        key=lambda job: (
            job is not oldest,
            job.text != oldest.text,
            abs(len(job.text) - len(oldest.text)),
            job.text,
        ),
    )[:most]


def _told(error: Exception, rows: int) -> EngineError:
    """Return the error as one line for a user."""
    if isinstance(error, MootError):
        told = EngineError(str(error))
    else:
        why = in_one_line(error)
        hint = "; a smaller `batch` needs less" if "memory" in why else ""
        told = EngineError(f"generating {rows} rows: {type(error).__name__}: {why}{hint}")
    told.__cause__ = error
    return told
