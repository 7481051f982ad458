import asyncio
import random
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import pytest
from clock import Clock

from moot.agents.engine import Limits
from moot.agents.errors import EngineError, Fault
from moot.agents.limits.gate import Gate
from moot.agents.types import Completion, Message, Request, Sampling, Weights

REQUEST = Request((Message("user", "hi"),), Sampling(), seed=1)
TRAINED = Request((Message("user", "hi"),), Sampling(), seed=1, weights="pupil", version=2)
WEIGHTS = Weights("pupil", 2, Path("adapter"))


def said(version: int = 0) -> Completion:
    return Completion("yes", "stop", version, tokens_in=1, tokens_out=1, latency_s=0.0)


class Moody:
    """An engine that raises what it is told to, in turn, and then answers."""

    def __init__(self, *moods: Exception, version: int = 0) -> None:
        self.moods = deque(moods)
        self.version = version
        self.calls = 0
        self.under_way = 0
        self.most = 0

    async def generate(self, request: Request) -> Completion:
        await self._stumble()
        return said(self.version)

    async def load(self, weights: Weights) -> None:
        await self._stumble()
        self.version = weights.version

    async def held(self) -> Mapping[str, int]:
        await self._stumble()
        return {"pupil": self.version}

    async def _stumble(self) -> None:
        self.calls += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        if self.moods:
            raise self.moods.popleft()


def gate(engine: Moody, clock: Clock, limits: Limits | None = None, seed: int = 0) -> Gate:
    limits = limits or Limits()
    jitter, never = random.Random(seed), lambda: 0.0
    limit = limits.deadline_s(600)
    return Gate("main", engine, limits, jitter, clock.sleep, clock, never, deadline_s=limit)


def test_what_goes_well_is_asked_once() -> None:
    engine, clock = Moody(), Clock()
    before = gate(engine, clock)
    assert asyncio.run(before.generate(REQUEST)) == said()
    assert (engine.calls, before.retries, clock.naps) == (1, 0, [])


def test_faults_are_tried_again_with_jittered_waits_that_grow() -> None:
    engine, clock = Moody(*[Fault("HTTP 500")] * 9), Clock()
    before = gate(engine, clock)
    assert asyncio.run(before.generate(REQUEST)).text == "yes"
    assert (engine.calls, before.retries) == (10, 9)
    ceilings = [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert all(0 <= nap <= top for nap, top in zip(clock.naps, ceilings, strict=True))
    assert max(clock.naps) > 2


def test_the_waits_follow_from_the_jitter_that_is_passed_in() -> None:
    def naps(seed: int) -> list[float]:
        clock = Clock()
        asyncio.run(gate(Moody(*[Fault("500")] * 5), clock, seed=seed).generate(REQUEST))
        return clock.naps

    assert naps(1) == naps(1) != naps(2)


def test_retry_after_is_waited_out_in_full() -> None:
    clock = Clock()
    asyncio.run(gate(Moody(Fault("429", retry_after=20)), clock).generate(REQUEST))
    assert 20 <= clock.naps[0] <= 20.5


def test_patience_ends_with_the_engine_the_tries_the_time_and_the_last_error() -> None:
    engine, clock = Moody(*[Fault("HTTP 503: busy")] * 99), Clock()
    with pytest.raises(Fault) as caught:
        asyncio.run(gate(engine, clock, Limits(patience_s=60)).generate(REQUEST))
    assert clock.now == pytest.approx(60)
    assert str(caught.value) == (
        f"engine 'main': gave up after {engine.calls} tries over 60 s (patience_s: 60): "
        "HTTP 503: busy"
    )


def test_without_patience_a_fault_is_final() -> None:
    engine, clock = Moody(Fault("lost")), Clock()
    with pytest.raises(Fault, match="gave up after 1 try over 0 s"):
        asyncio.run(gate(engine, clock, Limits(patience_s=0)).generate(REQUEST))
    assert (engine.calls, clock.naps) == (1, [])


def test_a_wait_longer_than_patience_is_not_begun() -> None:
    clock = Clock()
    with pytest.raises(Fault, match=r"asked to wait 3.6e\+03 s more \(patience_s: 60\): HTTP 429"):
        asyncio.run(
            gate(Moody(Fault("HTTP 429", retry_after=3600)), clock, Limits(patience_s=60)).held()
        )
    assert clock.naps == []


def test_errors_that_wont_pass_and_bugs_are_raised_at_once() -> None:
    for error in (EngineError("HTTP 400"), ZeroDivisionError("a bug")):
        engine = Moody(error)
        with pytest.raises(type(error), match=str(error)):
            asyncio.run(gate(engine, Clock()).generate(REQUEST))
        assert engine.calls == 1


def test_the_queue_for_the_rate_costs_no_patience() -> None:
    async def scene() -> int:
        moody, clock = Moody(Fault("503")), Clock()
        gate = Gate("far", moody, Limits(patience_s=1), random.Random(0), clock.sleep, clock)

        class Slow:
            async def wait(self, tokens: int) -> None:
                clock.now += 100

            def settle(self, expected: int, tokens: int) -> None: ...

        gate._pace = Slow()  # pyright: ignore
        await gate.generate(REQUEST)
        return gate.retries

    assert asyncio.run(scene()) == 1


def test_loading_and_asking_what_is_held_are_tried_again_too() -> None:
    async def play() -> tuple[Mapping[str, int], int]:
        before = gate(Moody(Fault("500"), Fault("500")), Clock())
        await before.load(WEIGHTS)
        return await before.held(), before.retries

    assert asyncio.run(play()) == ({"pupil": 2}, 2)


def test_an_engine_that_never_answered_yet_is_told_of_once() -> None:
    told: list[str] = []
    clock = Clock()

    async def play(*moods: Exception) -> None:
        engine, limits = Moody(*moods), Limits(patience_s=60)
        before = Gate("far", engine, limits, random.Random(0), clock.sleep, clock, tell=told.append)
        for _ in range(2):
            await before.generate(REQUEST)
            engine.moods.append(Fault("HTTP 500"))
        await before.generate(REQUEST)

    asyncio.run(play())
    assert told == []
    asyncio.run(play(Fault("no route"), Fault("no route")))
    assert told == ["engine far: no route (tried again for up to 60 s)"]


def test_stale_weights_never_pass() -> None:
    for request, version, words in (
        (TRAINED, 1, "asked for version 2 of pupil, and version 1 spoke"),
        (REQUEST, 3, "asked for version 0 of the base model, and version 3 spoke"),
    ):
        engine = Moody(version=version)
        with pytest.raises(EngineError, match=words) as caught:
            asyncio.run(gate(engine, Clock()).generate(request))
        assert engine.calls == 1
        assert not isinstance(caught.value, Fault)
    assert asyncio.run(gate(Moody(version=2), Clock()).generate(TRAINED)).version == 2


def test_no_more_are_under_way_than_allowed() -> None:
    async def play(engine: Moody) -> None:
        before = gate(engine, Clock(), Limits(concurrency=3))
        await asyncio.gather(*(before.generate(REQUEST) for _ in range(20)))

    engine = Moody()
    asyncio.run(play(engine))
    assert (engine.calls, engine.most) == (20, 3)


def test_a_cancelled_request_gives_its_place_back() -> None:
    async def play() -> str:
        asleep = asyncio.Event()

        async def sleep(seconds: float) -> None:
            asleep.set()
            await asyncio.Event().wait()

        limits = Limits(concurrency=1)
        before = Gate("main", Moody(Fault("500")), limits, random.Random(0), sleep=sleep)
        waiting = asyncio.create_task(before.generate(REQUEST))
        await asleep.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return (await before.generate(REQUEST)).text

    assert asyncio.run(play()) == "yes"


def test_a_rate_is_never_exceeded_and_tries_count() -> None:
    times: list[float] = []

    class Timed(Moody):
        async def generate(self, request: Request) -> Completion:
            times.append(time.monotonic())
            return await super().generate(request)

    async def play() -> None:
        engine = Timed(Fault("500"))
        before = gate(engine, Clock(), Limits(requests_per_second=8.5))
        await asyncio.gather(*(before.generate(REQUEST) for _ in range(10)))

    asyncio.run(play())
    assert len(times) == 11
    # Eight in any 8/8.5 seconds; the time between being let through and being seen is small.
    assert all(later - earlier > 0.9 for earlier, later in zip(times, times[8:], strict=False))
