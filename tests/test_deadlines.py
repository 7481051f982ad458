"""How long one call is waited for, and what comes of it where an engine is too slow."""

import asyncio
import random
from typing import Any

import pytest
from clock import Clock
from test_gate import REQUEST, Moody, gate, said

from moot.agents.engine import Limits
from moot.agents.errors import Fault
from moot.agents.limits.gate import Gate
from moot.agents.types import Completion, Request


def test_what_answers_in_this_process_is_waited_for() -> None:
    class Late(Moody):
        async def generate(self, request: Request) -> Completion:
            await asyncio.sleep(0.05)
            return said()

    async def scene(**settings: Any) -> Completion:
        limits = Limits(**settings, patience_s=0)
        deadline_s = limits.deadline_s(None)
        before = Gate("near", Late(), limits, random.Random(0), deadline_s=deadline_s)
        return await before.generate(REQUEST)

    assert asyncio.run(scene()).text == "yes"
    with pytest.raises(Fault, match=r"no answer within 0.01 s"):
        asyncio.run(scene(timeout_s=0.01))


def test_a_call_past_its_deadline_is_a_fault() -> None:
    class Deaf(Moody):
        async def generate(self, request: Request) -> Completion:
            self.calls += 1
            await asyncio.Event().wait()
            raise AssertionError

    engine, clock = Deaf(), Clock()
    with pytest.raises(Fault, match=r"after \d+ tries .*: no answer within 0.005 s"):
        asyncio.run(gate(engine, clock, Limits(timeout_s=0.005, patience_s=1)).generate(REQUEST))
    assert engine.calls > 1


def test_an_engine_too_slow_for_so_many_is_asked_by_fewer_until_its_answers_come_in_time() -> None:
    class Crowded(Moody):
        async def generate(self, request: Request) -> Completion:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            try:
                for _ in range(10):
                    await asyncio.sleep(0.0005 * self.under_way)
            finally:
                self.under_way -= 1
            return said()

    async def scene() -> list[Completion]:
        async def short(seconds: float) -> None:
            await asyncio.sleep(seconds / 1000)

        limits = Limits(timeout_s=0.1, concurrency=1024, patience_s=0.6)
        before = Gate("main", engine, limits, random.Random(0), short, deadline_s=0.1)
        return await asyncio.gather(*(before.generate(REQUEST) for _ in range(64)))

    engine = Crowded()
    found = asyncio.run(scene())
    assert engine.most == 64
    assert {one.text for one in found} == {"yes"}
