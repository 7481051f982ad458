"""An engine that isn't opened before it is needed, and then holds what it was given."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from moot.agents.engine import Engine
from moot.agents.errors import EngineError, Fault
from moot.agents.late import Late, late
from moot.agents.scripted import ScriptedEngine
from moot.agents.types import Message, Request, Sampling, Weights


@dataclass
class House:
    """Where an engine lives: what happened to it, in order."""

    error: Exception | None = None
    log: list[str] = field(default_factory=list[str])

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Engine]:
        self.log.append("opened")
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        try:
            yield ScriptedEngine(lambda request: "4")
        finally:
            self.log.append("closed")

    async def take(self, engine: Engine, weights: Weights) -> None:
        await engine.load(weights)
        self.log.append(f"{weights.name} {weights.version}")


def asks(version: int = 0) -> Request:
    return Request((Message("user", "2 + 2?"),), Sampling(), 1, "w", version)


def weights(version: int, name: str = "w") -> Weights:
    return Weights(name, version, Path())


def test_what_is_never_asked_is_never_opened() -> None:
    house = House()

    async def scene() -> None:
        async with late(house.open, house.take) as engine:
            await engine.load(weights(1))
            assert await engine.held() == {"w": 1}

    asyncio.run(scene())

    assert house.log == []


def test_it_opens_once_with_the_newest_of_what_it_was_given() -> None:
    house = House()

    async def scene() -> None:
        async with late(house.open, house.take) as engine:
            for given in (weights(1), weights(1, "v"), weights(2)):
                await engine.load(given)
            said = await asyncio.gather(*(engine.generate(asks(2)) for _ in range(3)))
            assert [one.version for one in said] == [2, 2, 2]
            await engine.load(weights(3))
            assert await engine.held() == {"w": 3, "v": 1}

    asyncio.run(scene())

    assert house.log == ["opened", "w 2", "v 1", "w 3", "closed"]


def test_who_stops_waiting_while_it_opens_takes_nobody_along() -> None:
    house = House()

    async def scene() -> str:
        async with late(house.open, house.take) as engine:
            first, second = (asyncio.create_task(engine.generate(asks())) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            return (await second).text

    assert asyncio.run(scene()) == "4"
    assert house.log == ["opened", "closed"]


def test_one_that_does_not_open_tells_everybody_and_for_good() -> None:
    house = House(Fault("no answer"))

    async def scene(engine: Late) -> list[object]:
        asked = (engine.generate(asks()) for _ in range(2))
        together = await asyncio.gather(*asked, return_exceptions=True)
        return [*together, *await asyncio.gather(engine.generate(asks()), return_exceptions=True)]

    async def whole() -> list[object]:
        async with late(house.open, house.take) as engine:
            return await scene(engine)

    found = asyncio.run(whole())

    assert [(type(one), str(one)) for one in found] == [(EngineError, "no answer")] * 3
    assert house.log == ["opened"]


def test_one_that_is_still_opening_is_closed_with_the_run() -> None:
    closed: list[str] = []

    @asynccontextmanager
    async def slow() -> AsyncGenerator[Engine]:
        try:
            await asyncio.Event().wait()
            yield ScriptedEngine(lambda request: "")
        finally:
            closed.append("yes")

    async def scene() -> None:
        async with late(slow, House().take) as engine:
            asking = asyncio.create_task(engine.generate(asks()))
            await asyncio.sleep(0.01)
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(scene())

    assert closed == ["yes"]
