"""An endpoint's gate against a real HTTP server that misbehaves as it is told to."""

import asyncio
import random
from pathlib import Path

import pytest
from fake_endpoint import (
    REQUEST,
    Fake,
    Mood,
    choice,
    gated,
    half,
    hangs,
    play,
    refuses,
    reply,
    resets,
    says,
)

from moot.agents.endpoint import Endpoint
from moot.agents.engine import Engine, Limits
from moot.agents.errors import Denied, EngineError, Fault, Forbidden, Refusal
from moot.agents.limits.gate import FEW, Gate


@pytest.mark.parametrize(
    "mood",
    [refuses(500), refuses(429, Retry_After="1"), says(b'{"choi'), half, resets, hangs],
    ids=["500", "429", "malformed", "half a body", "reset", "hangs"],
)
def test_the_gate_gets_past_a_fault(mood: Mood) -> None:
    fake = Fake([mood, mood])

    async def part(engine: Engine) -> tuple[str, int]:
        gate = gated(engine, timeout_s=0.2)
        return (await gate.generate(REQUEST)).text, gate.retries

    assert play(fake, part) == ("4", 2)
    assert fake.asked[0] == fake.asked[1] == fake.asked[2]


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize(
    ("mood", "kind", "tries"),
    [
        (says(reply(choices=[choice(finish_reason="tool_calls")])), EngineError, FEW),
        (refuses(403, "flagged"), Forbidden, 1),
    ],
    ids=["of no use", "forbidden"],
)
def test_what_an_engine_that_is_well_never_answers_fails_alone(
    mood: Mood, kind: type[EngineError], tries: int, served: bool
) -> None:
    fake = Fake([says(reply())] * served + [mood] * tries)

    async def part(engine: Engine) -> str:
        gate = gated(engine)
        if served:
            await gate.generate(REQUEST)
        with pytest.raises(EngineError) as caught:
            await gate.generate(REQUEST)
        assert type(caught.value) is (Refusal if served else kind)
        return (await gate.generate(REQUEST)).text

    assert play(fake, part) == "4"
    assert len(fake.asked) == served + tries + 1


def test_a_key_that_is_taken_no_more_is_no_refusal_of_one_request() -> None:
    async def part(engine: Engine) -> None:
        gate = gated(engine)
        await gate.generate(REQUEST)
        with pytest.raises(Denied, match="expired"):
            await gate.generate(REQUEST)

    play(Fake([says(reply()), refuses(401, "expired")]), part)


def test_a_server_that_stays_down_ends_in_one_clear_line() -> None:
    async def part(engine: Engine) -> None:
        await gated(engine, patience_s=0.2).generate(REQUEST)

    with pytest.raises(Fault) as caught:
        play(Fake([refuses(503, "on\nfire")] * 10_000), part)
    line = str(caught.value)
    assert line.startswith("engine 'far': gave up after ")
    assert line.endswith("/v1/chat/completions: HTTP 503: on fire")
    assert "\n" not in line


def test_a_server_that_says_nothing_ends_in_one_clear_line() -> None:
    async def part(engine: Engine) -> None:
        await gated(engine, timeout_s=0.05, patience_s=0.01).generate(REQUEST)

    with pytest.raises(Fault, match=r"gave up after 1 try .*: no answer within 0.05 s"):
        play(Fake([hangs] * 9), part)


def test_a_server_may_go_away_and_come_back_on_its_port() -> None:
    async def scene() -> tuple[list[str], int]:
        fake = Fake()
        runner = await fake.start()
        missed = asyncio.Event()

        async def sleep(seconds: float) -> None:
            missed.set()
            await back.wait()

        back = asyncio.Event()
        async with Endpoint(url=fake.url, model="m").open(Path()) as engine:
            gate = Gate("far", engine, Limits(), random.Random(0), sleep=sleep)
            texts = [(await gate.generate(REQUEST)).text]
            await runner.cleanup()
            waiting = asyncio.create_task(gate.generate(REQUEST))
            await missed.wait()
            runner = await fake.start()
            back.set()
            texts.append((await waiting).text)
            await runner.cleanup()
            return texts, gate.retries

    texts, retries = asyncio.run(scene())
    assert texts == ["4", "4"]
    assert retries >= 1


def test_many_share_the_pool() -> None:
    fake = Fake()

    async def part(engine: Engine) -> int:
        gate = gated(engine, concurrency=200)
        said = await asyncio.gather(*(gate.generate(REQUEST) for _ in range(400)))
        return len(said)

    assert play(fake, part) == len(fake.asked) == 400
