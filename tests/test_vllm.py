"""The vLLM engine against a stand-in of its server."""

import asyncio
import math
import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError
from standing_in import (
    Site,
    adapter,
    descendants,
    elsewhere,
    found,
    heard,
    request,
    running,
)

from moot.agents.engine import Engine, Limits
from moot.agents.errors import EngineError, Fault, Gone
from moot.agents.limits.gate import Gate
from moot.agents.self_reward import Reading, write
from moot.agents.serving.vllm import VLLM
from moot.agents.types import Completion, Sampling, Weights


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return found(tmp_path, monkeypatch)


def test_a_started_server_answers_with_tokens_and_log_probs(site: Site) -> None:
    async def part(engine: Engine) -> tuple[Completion, set[int]]:
        return await engine.generate(request("hello")), descendants(os.getpid()) - before

    before = descendants(os.getpid())
    said, family = site.play(part)
    assert (said.tokens, said.prompt_tokens, len(said.logprobs)) == ((7, 2), (1, 5, 6), 2)
    assert (said.version, said.tokens_in, said.tokens_out, said.finish) == (0, 3, 2, "stop")
    assert family
    assert not running(family)


def test_the_server_is_asked_for_all_that_training_needs(site: Site) -> None:
    body = site.hears()["body"]
    assert body["model"] == "base"
    assert body["logprobs"] is body["return_token_ids"] is True
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (-1, 0.0, 1.0)


def test_each_version_speaks_in_place_of_the_one_before(site: Site) -> None:
    async def part(engine: Engine) -> None:
        for version in (1, 2):
            weights = adapter(site.folder, version=version)
            await engine.load(weights)
            await engine.load(weights)
            assert await engine.held() == {"pupil": version}
            said = await engine.generate(request("hello", version, "pupil"))
            assert said.version == version
            assert heard(said)["body"]["model"].startswith(f"pupil@{version}#")
        await engine.load(adapter(site.folder, "other", 7))
        assert await engine.held() == {"pupil": 2, "other": 7}
        with pytest.raises(EngineError, match=r"HTTP 404: The model `pupil@1#\w+` does not exist"):
            await engine.generate(request("hello", 1, "pupil"))
        assert (await engine.generate(request("hello", 0, "pupil"))).version == 0

    site.play(part)


def test_an_adapter_that_cant_be_served_is_refused_at_once(site: Site) -> None:
    async def part(engine: Engine) -> None:
        for weights, words in (
            (adapter(site.folder, path="huge"), "LoRA rank 64 is greater than max_lora_rank 32"),
            (adapter(site.folder, path="lost"), "took adapter 'pupil@1#.*' but doesn't list it"),
            (Weights("pupil", 1, site.folder / "nowhere"), "HTTP 404: No adapter found"),
        ):
            with pytest.raises(EngineError, match=words) as caught:
                await engine.load(weights)
            assert not isinstance(caught.value, Fault)
        assert await engine.held() == {}

    site.play(part)


def test_the_version_is_who_the_server_says_has_spoken(site: Site) -> None:
    async def part(engine: Engine) -> None:
        await engine.load(adapter(site.folder))
        said = await engine.generate(request("betray", 1, "pupil"))
        assert said.version == 0
        gate = Gate("main", engine, Limits(), random.Random(0))
        with pytest.raises(EngineError, match="asked for version 1 of pupil, and version 0 spoke"):
            await gate.generate(request("betray", 1, "pupil"))
        for version in (0, 1):
            with pytest.raises(EngineError, match="and '' answered"):
                await engine.generate(request("nameless", version, "pupil"))

    site.play(part)


def test_choices_are_weighed_by_who_is_asked(site: Site) -> None:
    async def part(engine: Engine) -> None:
        await engine.load(adapter(site.folder))
        poll = replace(request("hello", 1, "pupil"), choices=("1", "10", "2"))
        cold = replace(poll, sampling=Sampling(temperature=0))
        said = await engine.generate(cold)
        # "0", "1" and "2" are the tokens 48 to 50: they have log-probs of -.48 to -.50.
        one, ten, two = math.exp(-0.49), math.exp(-0.49 - 0.48), math.exp(-0.50)
        shares = [(one - ten) / (one + two), ten / (one + two), two / (one + two)]
        assert said.shares == pytest.approx(shares)
        assert (said.text, said.tokens, said.logprobs) == ("2", (50,), (-0.5,))
        assert (said.version, said.prompt_tokens) == (1, (1, 5, 6))
        # Three to tell of all first tokens, one of them cached, and again with "10" behind them.
        assert (said.tokens_in, said.tokens_cached) == (3 + 5, 1)
        given = await engine.generate(replace(poll, choices=("10",)))
        assert (given.text, given.shares, given.logprobs) == ("10", (1.0,), (-0.49, -0.48))
        with pytest.raises(EngineError, match="the choice '' is no token"):
            await engine.generate(replace(poll, choices=("1", "")))
        with pytest.raises(EngineError, match=r"'base' and 'pupil@1#.*' answered"):
            await engine.generate(replace(request("betray", 1, "pupil"), choices=("10", "2")))

    site.play(part)


def test_a_verdict_is_read_as_the_version_taught_that_speaks(site: Site) -> None:
    asked = replace(request("hello", 1, "pupil"), choices=("10",), verdict=True)
    #  The stand-in gives the token 300 a log-probability of -3.
    told = {1: Reading((2, 300), beta=0.1, constant=-13), 2: Reading((2, 300), 0.25, -5), 3: None}

    async def part(engine: Engine) -> list[float | None]:
        said: list[float | None] = []
        for version, how in told.items():
            weights = adapter(site.folder, version=version)
            if how is not None:
                write(weights.path, how)
            await engine.load(weights)
            said.append((await engine.generate(replace(asked, version=version))).verdict)
        return said

    assert site.play(part) == [pytest.approx(1.0), pytest.approx(0.5), None]


def test_a_schema_is_sent_for_the_server_to_hold_the_reply_to(site: Site) -> None:
    asked = replace(request("hello"), shape='{"type": "object"}')
    said = site.play(lambda engine: engine.generate(asked))
    assert heard(said)["body"]["structured_outputs"] == {"json": {"type": "object"}}


def test_log_probs_that_miss_a_token_are_a_fault(site: Site) -> None:
    with pytest.raises(Fault, match="1 token ids came with 2 log-probs"):
        site.hears("miscount")
    with pytest.raises(Fault, match=r"\(3, 2\) token ids came with counts of \(4, 2\)"):
        site.hears("overcount")


def test_a_server_that_dies_is_started_again_with_its_adapters_a_few_times(site: Site) -> None:
    async def part(engine: Engine) -> None:
        gate = Gate("main", engine, Limits(), random.Random(0), lambda _: asyncio.sleep(0.02))
        for version in (1, 2):
            await gate.load(adapter(site.folder, version=version))
        for _ in range(3):
            with pytest.raises(Fault):
                await engine.generate(request("die"))
            said = await asyncio.gather(
                *(gate.generate(request("hello", 2, "pupil")) for _ in range(5))
            )
            assert {completion.version for completion in said} == {2}
            assert await gate.held() == {"pupil": 2}
        with pytest.raises(Fault):
            await engine.generate(request("die"))
        with pytest.raises(
            Gone, match=r"started 4 times \(restarts: 3\): the vLLM server ended"
        ) as caught:
            await gate.generate(request("hello"))
        assert not isinstance(caught.value, Fault)

    site.play(part, restarts=3)


def test_runs_attached_to_one_server_keep_apart_and_leave_it_clean(site: Site) -> None:
    async def scene() -> None:
        async with elsewhere(site.folder, "--served-model-name", "qwen") as (wire, server):
            settings = VLLM(url=f"{wire.root}/v1")
            async with settings.open(site.folder) as one, settings.open(site.folder) as two:
                await one.load(adapter(site.folder))
                assert (await one.held(), await two.held()) == ({"pupil": 1}, {})
                with pytest.raises(EngineError, match="does not exist"):
                    await two.generate(request("hello", 1, "pupil"))
                assert heard(await two.generate(request("hi")))["body"]["model"] == "qwen"
                assert b"pupil" in await wire.get("/v1/models")
            assert b"pupil" not in await wire.get("/v1/models")
            assert server.alive

    asyncio.run(scene())


def test_what_it_trains_is_its_model() -> None:
    assert VLLM(model="m").trains == VLLM(model="m", url="http://host").trains == "m"
    assert VLLM(url="http://host").trains is None
    with pytest.raises(ValidationError, match=r"`model` .* or `url`"):
        VLLM()
