"""Who waits for whole weights is let in by order of arrival, and who gives up leaves no trace."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from standing_in import elsewhere

from moot.agents.serving.command import WORKER
from moot.agents.serving.lent import Labels
from moot.agents.serving.whole import Whole
from moot.agents.types import Weights

Call = Coroutine[Any, Any, None]


async def plainly(read: Call) -> None:
    await read


def played(
    folder: Path,
    part: Callable[[Whole], Call],
    timed: Callable[[Call], Awaitable[None]] = plainly,
) -> None:
    """Play `part` with a server that holds the weights `two`, and was given `one` before.

    Args:
        folder: where it is started.
        part: ends, and leaves no task behind.
        timed: has the server read others.
    """

    async def scene() -> None:
        names = ("--served-model-name", "base", "--model", "model", "--worker-extension-cls")
        async with elsewhere(folder, *names, WORKER) as (wire, _):
            whole = Whole(wire, Labels(), 20, timed, ours=True)
            whole.began(folder / "model")
            for name in ("one", "two"):
                (folder / name).mkdir()
                (folder / name / "model.safetensors").touch()
                await whole.give(Weights(name, 1, folder / name))
            before = asyncio.all_tasks()
            async with asyncio.timeout(20):  # who is never let in would wait for good
                await part(whole)
            assert asyncio.all_tasks() == before

    asyncio.run(scene())


async def spoken(whole: Whole, name: str | None) -> None:
    """Speak with weights, or the base model."""
    await whole.enter(name, 0 if name is None else 1)
    whole.leave()


def test_who_waits_longest_speaks_first_whatever_is_in_memory(tmp_path: Path) -> None:
    async def part(whole: Whole) -> None:
        order: list[str | None] = []

        async def speak(name: str | None) -> None:
            await spoken(whole, name)
            order.append(name)

        await whole.enter("two", 1)
        waiting: list[asyncio.Task[None]] = []
        for name in (None, "one", "two"):  # the last could go on with what is there, at once
            waiting.append(asyncio.create_task(speak(name)))
            await asyncio.sleep(0)
        whole.leave()
        await asyncio.gather(*waiting)
        assert order == [None, "one", "two"]

    played(tmp_path, part)


def test_who_gives_up_just_as_it_is_let_in_keeps_nobody_out(tmp_path: Path) -> None:
    leaving: list[asyncio.Task[None]] = []

    async def timed(read: Call) -> None:
        await read
        for one in leaving:  # before it learns that it may speak
            asyncio.get_running_loop().call_soon(one.cancel)

    async def part(whole: Whole) -> None:
        leaving.append(asyncio.create_task(whole.enter("one", 1)))
        with pytest.raises(asyncio.CancelledError):
            await leaving[0]
        leaving.clear()
        await spoken(whole, None)
        await spoken(whole, "two")

    played(tmp_path, part, timed)


def test_who_gives_up_while_the_server_reads_keeps_nobody_out(tmp_path: Path) -> None:
    leaving: list[asyncio.Task[None]] = []
    reads: list[Call] = []

    async def timed(read: Call) -> None:
        reads.append(read)
        for one in leaving:
            one.cancel()
        await read

    async def part(whole: Whole) -> None:
        reads.clear()
        leaving.append(asyncio.create_task(whole.enter("one", 1)))
        with pytest.raises(asyncio.CancelledError):
            await leaving[0]
        leaving.clear()
        await asyncio.gather(*(spoken(whole, name) for name in (None, "one")))
        await spoken(whole, "two")
        assert len(reads) == 3  # of "one", the base model and "two"

    played(tmp_path, part, timed)


def test_nothing_is_read_for_who_gave_up_before(tmp_path: Path) -> None:
    reads: list[Call] = []

    async def timed(read: Call) -> None:
        reads.append(read)
        await read

    async def part(whole: Whole) -> None:
        reads.clear()
        await whole.enter("two", 1)
        quitter = asyncio.create_task(whole.enter("one", 1))
        await asyncio.sleep(0)
        quitter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await quitter
        whole.leave()
        await spoken(whole, "two")
        assert reads == []

    played(tmp_path, part, timed)
