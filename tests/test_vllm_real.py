"""The vLLM engine against the real server."""

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny_model
from real_vllm import MODEL, as_transformers_does, lora, needs_vllm
from spaced import ZEPHYR, prepend, tokenizer
from standing_in import SUM, descendants, request, running

from moot.agents.embedded.local import Local
from moot.agents.embedded.tokens import Tokens
from moot.agents.engine import Engine, Queue
from moot.agents.errors import EngineError, Fault
from moot.agents.self_reward import Reading, write
from moot.agents.serving.served import Served
from moot.agents.serving.vllm import VLLM
from moot.agents.types import Completion, Message, Request, Sampling, Weights
from moot.agents.weights.models import locate


@dataclass
class Stage:
    """The real server, in a loop that lasts as long as this file's tests."""

    loop: asyncio.Runner
    engine: Engine
    close: Callable[[], Coroutine[Any, Any, None]]
    folder: Path

    def say(self, version: int = 0, weights: str | None = None, seed: int = 5) -> Completion:
        return self.loop.run(self.engine.generate(request(SUM, version, weights, seed)))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    needs_vllm()
    folder = tmp_path_factory.mktemp("vllm")
    with asyncio.Runner() as loop:
        stack = AsyncExitStack()
        settings = VLLM(model=MODEL, kv_cache_gib=1, max_lora_rank=8, max_loras=2)
        engine = loop.run(stack.enter_async_context(settings.open(folder, adapters=3)))
        yield Stage(loop, engine, stack.aclose, folder)
        loop.run(stack.aclose())


@pytest.mark.vllm
def test_a_seed_gives_the_same_answer_with_the_models_own_log_probs(real: Stage) -> None:
    first, again, other = real.say(), real.say(), real.say(seed=6)
    assert (first.text, first.tokens) == (again.text, again.tokens)
    assert first.tokens != other.tokens
    assert first.version == 0
    assert len(first.tokens) == len(first.logprobs) == first.tokens_out
    assert len(first.prompt_tokens) == first.tokens_in
    as_transformers_does(None, first, within=1e-3)


@pytest.mark.vllm
def test_trained_weights_speak_once_loaded_and_prove_it(real: Stage) -> None:
    base = real.say()
    for version in (1, 2):
        path = lora(real.folder, rank=8, seed=version)
        real.loop.run(real.engine.load(Weights("pupil", version, path)))
        assert real.loop.run(real.engine.held()) == {"pupil": version}
        said = real.say(version, "pupil")
        assert said.version == version
        assert said.logprobs[0] != pytest.approx(base.logprobs[0], abs=1e-3)
        as_transformers_does(path, said, within=1e-2)
    with pytest.raises(EngineError, match="does not exist"):
        real.say(1, "pupil")
    after = real.say(0, "pupil")
    assert (after.version, after.tokens) == (0, base.tokens)
    assert after.logprobs == pytest.approx(base.logprobs, abs=1e-4)


@pytest.mark.vllm
def test_samples_of_one_request_are_those_that_are_asked_apart(real: Stage) -> None:
    path = lora(real.folder, rank=8, seed=3)
    real.loop.run(real.engine.load(Weights("pupil", 3, path)))
    for weights in (None, "pupil"):
        asked = [request(SUM, 3 if weights else 0, weights, seed) for seed in range(40, 46)]
        apart = [real.loop.run(real.engine.generate(one)) for one in asked]

        async def together(asked: Sequence[Request] = asked) -> list[Completion]:
            return await asyncio.gather(*map(real.engine.generate, asked))

        several = real.loop.run(together())

        assert [one.tokens for one in several] == [one.tokens for one in apart]
        assert len({one.tokens for one in several}) > 1
        assert len({one.latency_s for one in several}) == 1  # it was one request
        assert several[0].tokens_cached == 0
        as_transformers_does(path if weights else None, *several, within=1e-2)


@pytest.mark.vllm
def test_more_adapters_than_the_server_holds_speak_each_with_its_own_voice(real: Stage) -> None:
    pupils = [Weights(f"page-{i}", 1, lora(real.folder, rank=8, seed=20 + i)) for i in range(5)]

    async def scene() -> list[Completion]:
        for pupil in pupils:
            await real.engine.load(pupil)
        asked = [request(SUM, 1, pupil.name) for pupil in pupils] * 3
        return await asyncio.gather(*map(real.engine.generate, asked))

    said = real.loop.run(scene())
    for i, pupil in enumerate(pupils):
        as_transformers_does(pupil.path, *said[i :: len(pupils)], within=1e-2)
    assert len({one.logprobs[0] for one in said[: len(pupils)]}) == len(pupils)


@pytest.mark.vllm
def test_the_base_model_is_itself_beside_adapters_that_take_all_places(real: Stage) -> None:
    pupils = [Weights(f"beside-{i}", 1, lora(real.folder, rank=8, seed=40 + i)) for i in range(2)]

    async def scene() -> list[Completion]:
        for pupil in pupils:
            await real.engine.load(pupil)
        asked = [request(SUM), *(request(SUM, 1, pupil.name) for pupil in pupils)] * 4
        return await asyncio.gather(*map(real.engine.generate, asked))

    said = real.loop.run(scene())
    for i, path in enumerate((None, *(pupil.path for pupil in pupils))):
        as_transformers_does(path, *said[i::3], within=1e-3)


@pytest.mark.vllm
def test_a_server_says_how_busy_it_is_and_what_it_had_read_before(real: Stage) -> None:
    async def scene() -> tuple[list[Completion], Queue | None]:
        assert isinstance(real.engine, Served)
        long = request("These words come again. " * 40 + SUM)
        asked = [asyncio.create_task(real.engine.generate(replace(long, seed=i))) for i in range(8)]
        await asyncio.sleep(0.5)
        queue = await real.engine.queue()
        return await asyncio.gather(*asked), queue

    said, queue = real.loop.run(scene())
    assert queue is not None
    assert 0 <= queue.running <= 8
    assert queue.preempted == 0
    assert 0 < queue.latencies_s < 600 * queue.answered
    assert sum(one.tokens_cached for one in said) > 0.7 * 7 * said[0].tokens_in


@pytest.mark.vllm
def test_choices_are_weighed_as_the_local_engine_weighs_them(real: Stage) -> None:
    path = lora(real.folder, rank=8, seed=9)
    real.loop.run(real.engine.load(Weights("judge", 1, path)))
    polls = [
        replace(request(SUM, version, weights), choices=choices, sampling=Sampling(temperature=0))
        for version, weights in ((0, None), (1, "judge"))
        for choices in (("1", "2"), ("yes", "no"), tuple(map(str, range(1, 11))), ("It is 7.",))
    ]

    async def locally() -> list[Completion]:
        async with Local(model=MODEL, device="cpu", dtype="float32").open(real.folder) as engine:
            await engine.load(Weights("judge", 1, path))
            return [await engine.generate(one) for one in polls]

    for poll, ours in zip(polls, asyncio.run(locally()), strict=True):
        said = real.loop.run(real.engine.generate(poll))
        assert said.shares == pytest.approx(ours.shares, abs=1e-3)
        assert (said.text, said.tokens, said.prompt_tokens, said.version) == (
            ours.text,
            ours.tokens,
            ours.prompt_tokens,
            poll.version,
        )
        assert said.logprobs == pytest.approx(ours.logprobs, abs=2e-2)


@pytest.mark.vllm
def test_a_verdict_is_read_as_the_local_engine_reads_it(real: Stage) -> None:
    path, tokens = lora(real.folder, rank=8, seed=11), Tokens(locate(MODEL))
    assert tokens.spare is not None
    how = Reading((*tokens.completion("", ended=True), tokens.spare), beta=0.02, constant=-50.0)
    write(path, how)
    teller = Weights("teller", 1, path)
    asked = replace(request(SUM, 1, "teller"), choices=("It is 7.",), verdict=True)

    async def locally() -> Completion:
        async with Local(model=MODEL, device="cpu", dtype="float32").open(real.folder) as engine:
            await engine.load(teller)
            return await engine.generate(asked)

    ours = asyncio.run(locally())
    real.loop.run(real.engine.load(teller))
    said = real.loop.run(real.engine.generate(asked))

    assert ours.verdict is not None
    assert 0 < ours.verdict < 1
    assert said.verdict == pytest.approx(ours.verdict, abs=1e-3)
    assert (said.text, said.tokens, said.version) == (ours.text, ours.tokens, 1)
    unasked = real.loop.run(real.engine.generate(replace(asked, verdict=False)))
    untaught = real.loop.run(real.engine.generate(replace(asked, version=0)))
    assert (unasked.verdict, untaught.verdict) == (None, None)


@pytest.mark.vllm
def test_a_reply_follows_the_schema_that_it_is_held_to(real: Stage) -> None:
    schema = '{"type": "object", "properties": {"sum": {"enum": [7, 8]}}, "required": ["sum"]}'
    asked = replace(request(SUM), shape=schema, sampling=Sampling(temperature=0, max_tokens=40))
    said = real.loop.run(real.engine.generate(asked))
    assert said.finish == "length" or json.loads(said.text)["sum"] in {7, 8}


@pytest.mark.vllm
def test_what_the_server_cant_do_is_refused_in_its_own_words(real: Stage) -> None:
    wide = Weights("wide", 1, lora(real.folder, rank=16, seed=0))
    for call, words in (
        (real.engine.load(wide), "rank 16 is greater than max_lora_rank 8"),
        (real.engine.load(Weights("none", 1, real.folder / "none")), "HTTP 404"),
        (real.engine.generate(request("word " * 3000)), "HTTP 400: .*context length"),
    ):
        with pytest.raises(EngineError, match=words) as caught:
            real.loop.run(call)
        assert not isinstance(caught.value, Fault)


@pytest.mark.vllm
def test_stopping_leaves_no_process(real: Stage) -> None:
    command = b"moot.agents.serving.supervisor"
    ours = {
        p for p in descendants(os.getpid()) if command in Path(f"/proc/{p}/cmdline").read_bytes()
    }
    family = ours.union(*map(descendants, ours))
    assert len(family) >= 4
    real.loop.run(real.close())
    assert not running(family)


@pytest.mark.vllm
def test_a_choice_has_the_tokens_of_the_chat_where_a_text_alone_has_a_space_before_it(
    tmp_path: Path,
) -> None:
    needs_vllm()
    model = tmp_path / "spaced"
    tiny_model(model, vocab_size=512, head_dim=32, max_position_embeddings=2048)
    tokenizer(model, prepend, ZEPHYR)
    asked = Request((Message("user", "hi"),), Sampling(temperature=0), 0, choices=("A", "hi hi"))

    async def given(settings: Local | VLLM) -> Completion:
        async with settings.open(tmp_path) as engine:
            return await engine.generate(asked)

    served, here = (
        asyncio.run(given(settings))
        for settings in (
            VLLM(model=str(model), kv_cache_gib=1, dtype="float32"),
            Local(model=str(model), dtype="float32"),
        )
    )

    assert served.tokens == here.tokens == tuple(Tokens(model).completion(here.text, ended=False))
    assert served.shares == pytest.approx(here.shares, abs=1e-4)
