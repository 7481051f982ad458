"""All weights of a vLLM server may be changed in place, and are proven to be what was given."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from standing_in import Site, elsewhere, found, heard, request, servers

from moot.agents.engine import Engine, Limits
from moot.agents.errors import EngineError, Fault
from moot.agents.limits.gate import Gate
from moot.agents.serving.command import WORKER
from moot.agents.serving.served import Served
from moot.agents.serving.vllm import VLLM
from moot.agents.types import Weights


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return found(tmp_path, monkeypatch)


def whole(folder: Path, version: int, name: str = "") -> Weights:
    """Return weights in a folder that the stand-in takes for a whole model."""
    place = folder / (name or f"whole-{version}")
    place.mkdir(exist_ok=True)
    (place / "model.safetensors").touch()
    return Weights("pupil", version, place)


def test_whole_weights_take_the_base_models_place_and_give_it_back(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> None:
        for version in (1, 2):
            await gate.load(whole(site.folder, version))
            assert await gate.held() == {"pupil": version}
        asked = [request(f"{i}", 2 * (i % 2), "pupil" if i % 2 else None) for i in range(60)]
        said = await asyncio.gather(*map(gate.generate, asked))
        for i, one in enumerate(said):
            assert one.version == 2 * (i % 2)
            assert heard(one)["weights"].endswith("whole-2" if i % 2 else "model")
        chats = [heard(one)["chats"] for one in said]
        order = [i % 2 for _, i in sorted(zip(chats, range(60), strict=True))]
        changes = sum(a != b for a, b in pairwise(order))
        assert changes == 1  # all who want the same speak together
        with pytest.raises(EngineError, match="asked for version 1 of 'pupil', and has version 2"):
            await gate.generate(request("hello", 1, "pupil"))
        os.kill(min(servers()), signal.SIGKILL)  # starts again as the base model
        assert heard(await gate.generate(request("hello", 2, "pupil")))["weights"].endswith("-2")

    site.gated(part)


def test_a_server_is_asked_for_the_set_that_it_was_given_last(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> None:
        for version in (1, 2):
            for name in ("one", "two"):
                place = whole(site.folder, version, f"whole-{name}-{version}").path
                await gate.load(Weights(name, version, place))
                assert await gate.held() == {name: version}

    site.gated(part)


def test_whole_weights_that_the_server_cant_read_leave_it_usable(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> None:
        with pytest.raises(EngineError, match="HTTP 500: safetensors: invalid header"):
            await gate.load(whole(site.folder, 1, "broken"))
        with pytest.raises(EngineError, match=r"was given 'pupil@1#\w+' and holds 'default'"):
            await gate.load(whole(site.folder, 1, "stubborn"))
        assert heard(await gate.generate(request("hello")))["weights"].endswith("model")
        assert await gate.held() == {}

    site.gated(part)


def test_who_waits_for_others_weights_to_have_spoken_is_not_too_slow(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> list[int]:
        names = [f"pupil-{i}" for i in range(7)]
        for name in names:
            place = whole(site.folder, 1, f"whole-{name}").path
            await engine.load(Weights(name, 1, place))
        asked = (engine.generate(request("hello", 1, name)) for name in names)
        return [one.version for one in await asyncio.gather(*asked)]

    limits, slow = Limits(timeout_s=4), ("--latency", "1")
    assert site.gated(part, arguments=slow, limits=limits) == [1] * 7


def test_a_server_that_keeps_what_it_read_before_is_not_spoken_with(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> None:
        weights = whole(site.folder, 1, "held")
        with pytest.raises(Fault, match="still holds what it read with other weights"):
            await engine.load(weights)
        assert await engine.held() == {}
        assert heard(await engine.generate(request("hello")))["weights"].endswith("model")
        await engine.load(weights)
        assert heard(await engine.generate(request("hello", 1, "pupil")))["weights"].endswith(
            "held"
        )

    site.gated(part)


def test_weights_that_another_put_in_an_attached_servers_memory_speak_for_nobody(
    site: Site,
) -> None:
    async def part(engine: Engine, gate: Gate) -> None:
        assert isinstance(engine, Served)
        settings = VLLM(model=str(site.folder / "model"), url=engine.root)
        async with settings.open(site.folder) as one:
            await one.load(whole(site.folder, 1))
            assert await one.held() == {"pupil": 1}
            async with settings.open(site.folder) as two:  # finds the first one's weights there
                assert heard(await two.generate(request("hello")))["weights"].endswith("/model")
                await two.load(whole(site.folder, 2))
                with pytest.raises(Fault, match="other weights were there"):
                    await one.generate(request("hello", 1, "pupil"))
                said = await one.generate(request("hello", 1, "pupil"))
                assert heard(said)["weights"].endswith("whole-1")
        assert heard(await gate.generate(request("hello")))["weights"].endswith("/model")

    site.gated(part)


def test_whose_workers_are_as_ours_is_found_out(site: Site) -> None:
    async def scene(*arguments: str) -> str:
        model = str(site.folder / "model")
        names = ("--served-model-name", "base", "--model", model)
        async with AsyncExitStack() as stack:
            there = elsewhere(site.folder, *names, *arguments)
            wire, _ = await stack.enter_async_context(there)
            settings = VLLM(model=model, url=wire.root)
            engine = await stack.enter_async_context(settings.open(site.folder))
            for version in (1, 2):
                await engine.load(whole(site.folder, version))
            said = heard(await engine.generate(request("hello", 2, "pupil")))
            assert said["weights"].endswith("whole-2")
            return said["method"]

    assert asyncio.run(scene()) == "reload_weights"
    assert asyncio.run(scene("--worker-extension-cls", WORKER)) == "read_weights"
