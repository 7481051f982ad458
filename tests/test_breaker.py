import asyncio
import random
from collections.abc import Mapping

import pytest
from clock import Clock

from moot.agents.engine import Limits
from moot.agents.errors import Fault, Overload
from moot.agents.limits.breaker import AFTER, Breaker
from moot.agents.limits.gate import Gate
from moot.agents.limits.pace import Pace
from moot.agents.types import Completion, Message, Request, Sampling, Weights


class Down:
    """An engine that answers from some moment on, and notes how many ask it at once."""

    def __init__(self, clock: Clock, until: float, kind: type[Fault] = Fault) -> None:
        self.clock, self.until, self.kind = clock, until, kind
        self.under_way = 0
        self.asked: list[tuple[float, int]] = []

    async def generate(self, request: Request) -> Completion:
        self.under_way += 1
        self.asked.append((self.clock.now, self.under_way))
        await asyncio.sleep(0)
        self.under_way -= 1
        if self.clock.now < self.until:
            raise self.kind("refused")
        return Completion("yes", "stop", 0, 10, 20, 0.0)

    async def load(self, weights: Weights) -> None: ...

    async def held(self) -> Mapping[str, int]:
        return {}


def requests(n: int) -> list[Request]:
    return [Request((Message("user", "hi"),), Sampling(), seed) for seed in range(n)]


def gate(engine: Down, clock: Clock, **limits: float) -> Gate:
    settled = Limits.model_validate(limits)
    return Gate("main", engine, settled, random.Random(0), clock.sleep, clock)


def test_an_engine_that_is_down_is_asked_by_one_at_a_time_and_then_by_all() -> None:
    clock = Clock()
    engine = Down(clock, until=60)

    async def scene() -> None:
        before = gate(engine, clock)
        said = await asyncio.gather(*map(before.generate, requests(100)))
        assert {one.text for one in said} == {"yes"}

    asyncio.run(scene())
    first = [n for _, n in engine.asked[:100]]
    assert first == list(range(1, 101))  # nothing was known of it yet
    while_down = [n for at, n in engine.asked[100:] if at < 60]
    assert while_down
    assert set(while_down) == {1}
    assert max(n for at, n in engine.asked if at >= 60) > 1


def test_an_engine_that_stays_down_is_given_up_by_all_within_one_patience() -> None:
    clock = Clock()
    engine = Down(clock, until=1e9)

    async def scene() -> None:
        before = gate(engine, clock, patience_s=100.0)
        failed = await asyncio.gather(*map(before.generate, requests(50)), return_exceptions=True)
        assert all(isinstance(one, Fault) for one in failed)
        assert clock.now < 250
        with pytest.raises(Fault, match="gave up after 1 try"):  # it is known to be down
            await before.generate(requests(1)[0])

    asyncio.run(scene())


def test_faults_among_answers_break_nothing() -> None:
    clock = Clock()
    breaker = Breaker(clock, 1800)

    async def fails() -> str:
        raise Fault("500")

    async def answers() -> str:
        return "yes"

    async def scene() -> None:
        for _ in range(AFTER):
            for _ in range(AFTER - 1):
                with pytest.raises(Fault):
                    await breaker.through(fails, 10)
            assert breaker.down_s == 0.0
            assert await breaker.through(answers, 10) == "yes"
        for _ in range(AFTER):
            with pytest.raises(Fault):
                await breaker.through(fails, 10)
        clock.now += 7
        assert breaker.down_s == 7

    asyncio.run(scene())


def test_whoever_waits_goes_on_as_soon_as_anything_is_answered_or_patience_ends() -> None:
    breaker, slow = Breaker(Clock(), 1800), asyncio.Event()

    async def fails() -> str:
        raise Fault("500")

    async def late() -> str:
        await slow.wait()
        return "late"

    async def answers() -> str:
        return "yes"

    async def scene() -> None:
        early = asyncio.create_task(breaker.through(late, 10))
        await asyncio.sleep(0)
        for _ in range(AFTER):
            with pytest.raises(Fault):
                await breaker.through(fails, 10)
        probe = asyncio.create_task(breaker.through(asyncio.Event().wait, 10))
        await asyncio.sleep(0)
        with pytest.raises(Fault, match="500"):
            await breaker.through(answers, 0.02)
        waits = asyncio.create_task(breaker.through(answers, 10))
        await asyncio.sleep(0)
        assert not waits.done()
        slow.set()  # what was asked before is answered: it isn't down
        assert await asyncio.wait_for(waits, 1) == "yes"
        assert await early == "late"
        probe.cancel()

    asyncio.run(scene())


def test_an_engine_that_is_asked_too_much_is_asked_by_fewer_at_once() -> None:
    clock = Clock()

    class Small(Down):
        async def generate(self, request: Request) -> Completion:
            self.under_way += 1
            self.asked.append((self.clock.now, self.under_way))
            try:
                full = self.under_way > 4
                await asyncio.sleep(0)
                if full:
                    raise Overload("HTTP 429")
                return Completion("yes", "stop", 0, 1, 1, 0.0)
            finally:
                self.under_way -= 1

    engine = Small(clock, 0)

    async def scene() -> None:
        async def at_once(seconds: float) -> None:
            await asyncio.sleep(0)

        limits = Limits(concurrency=64)
        before = Gate("main", engine, limits, random.Random(0), at_once, clock)
        await asyncio.gather(*map(before.generate, requests(2000)))

    asyncio.run(scene())
    late = [n for _, n in engine.asked[-500:]]
    assert max(late) <= 8


def test_who_finds_an_engine_down_for_too_long_does_not_try_it() -> None:
    clock, tries = Clock(), 0
    breaker = Breaker(clock, 100)

    async def slow() -> None:
        nonlocal tries
        tries += 1
        await clock.sleep(30)
        raise Fault("no answer within 30 s")

    async def scene() -> list[BaseException | None]:
        asked = (breaker.through(slow, 100) for _ in range(AFTER + 20))
        first = await asyncio.gather(*asked, return_exceptions=True)
        return [*first, *await asyncio.gather(breaker.through(slow, 100), return_exceptions=True)]

    found = asyncio.run(scene())
    assert {str(one) for one in found} == {"no answer within 30 s"}
    # Those that were under way before it counted as down; then one after the other, to 100 s.
    assert tries <= AFTER + 20
    before = tries
    asyncio.run(scene())
    assert tries == before


def test_tokens_that_many_ask_for_at_once_are_held_back() -> None:
    clock = Clock()
    pace = Pace(Limits(tokens_per_minute=600), clock.sleep, clock)
    starts: list[float] = []

    async def call(cost: int) -> None:
        await pace.wait(100)
        starts.append(clock.now)
        for _ in range(50):
            await asyncio.sleep(0)
        pace.settle(100, cost)

    async def scene() -> None:
        await asyncio.gather(*(call(100) for _ in range(50)))
        assert starts.count(0) == 7  # a minute's tokens, and one request more
        assert starts[-1] == pytest.approx((49 - 6) * 10, abs=1)
        starts.clear()
        clock.now += 60  # another minute's
        began = clock.now
        await asyncio.gather(*(call(0) for _ in range(50)))
        assert starts[-1] - began < 430 / 2  # what failed costs nothing, and is given back

    asyncio.run(scene())


def test_tokens_a_minute_are_settled_after_and_waited_for() -> None:
    clock = Clock()
    pace = Pace(Limits(tokens_per_minute=600), clock.sleep, clock)

    async def scene() -> list[float]:
        starts: list[float] = []
        for _ in range(30):
            await pace.wait()
            starts.append(clock.now)
            pace.settle(0, 100)
        return starts

    starts = asyncio.run(scene())
    assert starts[6] == 0  # a minute's tokens may go at once, and one request more
    assert starts[-1] == pytest.approx((29 - 6) * 10, abs=1e-6)
