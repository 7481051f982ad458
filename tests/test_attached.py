"""A vLLM server that somebody else runs, and starts anew while we are attached to it."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from standing_in import adapter, elsewhere, request

from moot.agents.engine import Limits
from moot.agents.errors import EngineError, Fault
from moot.agents.limits.gate import Gate
from moot.agents.serving.vllm import VLLM


@asynccontextmanager
async def started_anew(
    folder: Path, first: str, then: str
) -> AsyncGenerator[tuple[Gate, Callable[[], Awaitable[None]]]]:
    """Give an engine attached to a server of the model `first`, and what starts it with another."""
    named = ("--served-model-name", "base", "--model")
    async with AsyncExitStack() as stack:
        wire, server = await stack.enter_async_context(elsewhere(folder, *named, first))
        engine = await stack.enter_async_context(VLLM(url=wire.root).open(folder))

        async def soon(seconds: float) -> None:
            await asyncio.sleep(min(seconds, 0.02))

        async def anew() -> None:
            await server.stop()
            port = int(wire.root.rpartition(":")[2])
            await stack.enter_async_context(elsewhere(folder, *named, then, port=port))

        yield Gate("main", engine, Limits(), random.Random(0), soon), anew


@pytest.mark.parametrize("version", [0, 1])
def test_a_server_elsewhere_that_is_started_with_another_model_is_found_out(
    tmp_path: Path, version: int
) -> None:
    async def scene() -> None:
        async with started_anew(tmp_path, "models/one", "models/two") as (gate, anew):
            await gate.load(adapter(tmp_path))
            await gate.generate(request("hello", version, "pupil"))
            await anew()
            words = r"served the model 'models/one' \(as 'base', .* and now serves 'models/two' "
            for _ in range(2):
                with pytest.raises(EngineError, match=words) as caught:
                    await gate.generate(request("hello", version, "pupil"))
                assert not isinstance(caught.value, Fault)

    asyncio.run(scene())


def test_a_server_elsewhere_that_is_started_with_the_same_model_goes_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async with started_anew(tmp_path, "models/one", "models/one") as (gate, anew):
            await gate.load(adapter(tmp_path))
            asked = [request("hello", version, "pupil") for version in (0, 1)]
            before = [await gate.generate(one) for one in asked]
            await anew()
            after = [await gate.generate(one) for one in asked]
            assert [one.logprobs for one in before] == [one.logprobs for one in after]

    asyncio.run(scene())
