"""Batching, with a speaker that only notes what it is asked."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from moot.agents.embedded import batching
from moot.agents.embedded.batching import Batching, Job, pick
from moot.agents.errors import EngineError
from moot.agents.types import Completion, Message, Request, Sampling, Weights

NEW = Weights("pupil", 1, Path("adapter"))


def request(text: str, weights: str | None = None, version: int = 0) -> Request:
    return Request((Message("user", text),), Sampling(), 0, weights, version)


@dataclass
class Notes:
    """Says every prompt back, and notes each batch; waits for `go` before it speaks."""

    batches: list[list[str]] = field(default_factory=list[list[str]])
    versions: dict[str, int] = field(default_factory=dict[str, int])
    go: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)
    given_up: bool = False

    def speak(
        self, requests: Sequence[Request], unwanted: Sequence[Callable[[], bool]]
    ) -> Sequence[Completion | EngineError]:
        self.begun.set()
        while not self.go.wait(0.001):
            if all(gone() for gone in unwanted):
                self.given_up = True
                break
        texts = [one.prompt[-1].content for one in requests]
        self.batches.append(texts)
        if "poison" in texts:
            raise MemoryError("out of\n memory")
        return [
            EngineError("too long") if text == "long" else Completion(text, "stop", 0, 1, 1, 0.0)
            for text in texts
        ]

    def load(self, weights: Weights) -> None:
        self.batches.append([f"load {weights.name}"])
        self.versions[weights.name] = weights.version

    def held(self) -> Mapping[str, int]:
        return self.versions


def with_engine(
    notes: Notes, use: Callable[[Batching], Awaitable[Any]], batch: int = 64, *, go: bool = True
) -> Any:
    async def play() -> Any:
        if go:
            notes.go.set()
        with ThreadPoolExecutor(1) as thread:
            engine = Batching(notes, thread, batch)
            serving = asyncio.create_task(engine.serve())
            try:
                async with asyncio.timeout(20):
                    return await use(engine)
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)

    return asyncio.run(play())


def test_what_is_asked_together_is_answered_together() -> None:
    async def use(engine: Batching) -> list[Completion]:
        return await asyncio.gather(*(engine.generate(request(f"q{i}")) for i in range(5)))

    notes = Notes()
    said = with_engine(notes, use)

    assert [one.text for one in said] == [f"q{i}" for i in range(5)]
    assert notes.batches == [[f"q{i}" for i in range(5)]]


def test_a_completion_takes_as_long_as_its_batch_and_not_the_queue_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks = count()
    monkeypatch.setattr(batching, "time", SimpleNamespace(monotonic=lambda: next(ticks)))

    async def use(engine: Batching) -> list[Completion]:
        return await asyncio.gather(*(engine.generate(request(f"q{i}")) for i in range(4)))

    said = with_engine(Notes(), use, batch=1)

    assert [one.latency_s for one in said] == [1, 1, 1, 1]


def test_a_load_comes_after_what_was_asked_before_it_and_before_what_was_asked_after() -> None:
    async def use(engine: Batching) -> None:
        await asyncio.gather(
            engine.generate(request("before")),
            engine.load(NEW),
            engine.generate(request("after", "pupil", 1)),
        )
        assert await engine.held() == {"pupil": 1}

    notes = Notes()
    with_engine(notes, use)

    assert notes.batches == [["before"], ["load pupil"], ["after"]]


def test_a_batch_is_of_one_mind_and_bounded() -> None:
    async def use(engine: Batching) -> None:
        asked = [request("a"), request("b", "pupil", 1), request("c", "pupil", 0), request("d")]
        await asyncio.gather(*(engine.generate(one) for one in asked))

    notes = Notes()
    with_engine(notes, use, batch=2)

    assert notes.batches == [["a", "c"], ["b"], ["d"]]


def test_requests_of_one_prompt_go_together_and_then_those_about_as_long() -> None:
    texts = ["four", "sixteen letters!", "five!", "four", "fifteen letters", "five!"]

    async def jobs() -> list[Job]:
        loop = asyncio.get_running_loop()
        return [Job(request(text), loop.create_future()) for text in texts]

    picked = pick(asyncio.run(jobs()), 4)

    assert [job.text for job in picked] == ["four", "four", "five!", "five!"]


def test_a_cancelled_request_is_dropped_before_it_is_generated() -> None:
    async def use(engine: Batching) -> None:
        first = asyncio.create_task(engine.generate(request("first")))
        await asyncio.to_thread(notes.begun.wait, 10)
        later = [asyncio.create_task(engine.generate(request(f"q{i}"))) for i in range(3)]
        await asyncio.sleep(0)
        later[1].cancel()
        notes.go.set()
        await asyncio.gather(first, later[0], later[2])

    notes = Notes()
    with_engine(notes, use, go=False)

    assert notes.batches == [["first"], ["q0", "q2"]]


def test_an_error_goes_to_the_requests_concerned_and_the_engine_lives_on() -> None:
    async def use(engine: Batching) -> list[Any]:
        one = [engine.generate(request(text)) for text in ("a", "long", "b")]
        first = await asyncio.gather(*one, return_exceptions=True)
        with pytest.raises(
            EngineError,
            match=r"^generating 2 rows: MemoryError: out of memory; a smaller `batch` needs less$",
        ):
            await asyncio.gather(
                engine.generate(request("poison")), engine.generate(request("beside it"))
            )
        return [*first, await engine.generate(request("later"))]

    a, long, b, later = with_engine(Notes(), use)

    assert (a.text, b.text, later.text) == ("a", "b", "later")
    assert isinstance(long, EngineError)


def test_closing_ends_the_work_under_way_and_tells_those_who_wait() -> None:
    async def play() -> list[Any]:
        with ThreadPoolExecutor(1) as thread:
            engine = Batching(notes, thread, 4)
            serving = asyncio.create_task(engine.serve())
            asked = [asyncio.create_task(engine.generate(request("at work")))]
            await asyncio.to_thread(notes.begun.wait, 10)
            asked.append(asyncio.create_task(engine.generate(request("waiting"))))
            await asyncio.sleep(0)
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            with pytest.raises(EngineError, match="closed"):
                await engine.generate(request("too late"))
            return await asyncio.gather(*asked, return_exceptions=True)

    notes = Notes()
    assert [str(one) for one in asyncio.run(play())] == ["the engine was closed"] * 2
    assert notes.given_up
