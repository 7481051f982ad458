"""What goes wrong with vLLM servers, one or several, and that nothing is lost by it."""

import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from aiohttp import ClientSession
from standing_in import Site, adapter, descendants, found, heard, request

from moot.agents.errors import EngineError, Fault, Gone, Refusal
from moot.agents.gate import Gate
from moot.agents.served import Served
from moot.agents.types import Completion, Engine, Limits, Weights
from moot.agents.vllm import VLLM
from moot.experiments.main import main


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    (tmp_path / "trouble").mkdir()
    return found(tmp_path, monkeypatch)


def play(
    site: Site, part: Callable[[Engine, Gate], Coroutine[Any, Any, Any]], **settings: Any
) -> Any:
    """Return what `part` makes of an engine whose troubles lie in a folder, and of its gate."""
    troubled = ("--trouble", str(site.folder / "trouble"), *settings.pop("arguments", ()))
    limits = settings.setdefault("limits", Limits())

    async def scene(engine: Engine) -> Any:
        async def soon(seconds: float) -> None:
            await asyncio.sleep(min(seconds, 0.02))

        return await part(engine, Gate("main", engine, limits, random.Random(0), soon))

    return site.play(scene, arguments=troubled, **settings)


def trouble(site: Site, *moods: str) -> None:
    for i, mood in enumerate(moods):
        (site.folder / "trouble" / f"{i:03d}-{mood}").touch()


def servers() -> set[int]:
    """Return the stand-ins that run below this process."""
    return {
        pid
        for pid in descendants(os.getpid())
        if b"vllm.entrypoints" in (line := Path(f"/proc/{pid}/cmdline").read_bytes())
        and b"supervisor" not in line
    }


def whole(folder: Path, version: int, name: str = "") -> Weights:
    """Return weights in a folder that the stand-in takes for a whole model."""
    place = folder / (name or f"whole-{version}")
    place.mkdir(exist_ok=True)
    (place / "model.safetensors").touch()
    return Weights("pupil", version, place)


def test_each_fault_is_got_over_and_every_request_answered_once(site: Site) -> None:
    moods = ("500", "half", "429", "503", "garbled", "die", "408", "forget", "502", "die", "forget")
    trouble(site, *moods)

    async def part(engine: Engine, gate: Gate) -> None:
        await gate.load(adapter(site.folder))
        asked = [request(f"hello {i}", i % 2, "pupil") for i in range(40)]
        said = await asyncio.gather(*map(gate.generate, asked))
        assert [heard(one)["body"]["messages"][-1]["content"] for one in said] == [
            f"hello {i}" for i in range(40)
        ]
        assert [one.version for one in said] == [i % 2 for i in range(40)]
        assert max(one.tries for one in said) > 1
        assert not list((site.folder / "trouble").iterdir())

    play(site, part)


def test_a_server_that_hangs_is_started_again(site: Site) -> None:
    trouble(site, "hang", "hang")

    async def part(engine: Engine, gate: Gate) -> tuple[list[Completion], set[int], set[int]]:
        before = servers()
        said = await asyncio.gather(*(gate.generate(request("hello")) for _ in range(2)))
        return said, before, servers()

    said, before, after = play(site, part, limits=Limits(timeout_s=2.0))
    assert [one.tries for one in said] == [2, 2]
    assert before
    assert after
    assert not before & after


def test_a_server_whose_answers_all_take_long_has_not_hung(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> bool:
        assert isinstance(engine, Served)
        root = engine.root

        async def working() -> None:
            """Have its counters move, as tokens do that no answer is made of yet."""
            while True:
                await asyncio.sleep(0.2)
                async with ClientSession() as session, session.post(f"{root}/work"):
                    pass

        before, moving = servers(), asyncio.create_task(working())
        with pytest.raises(Fault, match=r"gave up .* no answer within 1 s"):
            await gate.generate(request("hello"))
        moving.cancel()
        return before == servers()

    settings = Limits(timeout_s=1.0, patience_s=2.5)
    assert play(site, part, limits=settings, arguments=("--latency", "60"))


def test_one_slow_answer_among_others_is_no_hang(site: Site) -> None:
    trouble(site, "hang")

    async def part(engine: Engine, gate: Gate) -> bool:
        async def others() -> None:
            for _ in range(12):
                await asyncio.sleep(0.1)
                await gate.generate(request("hello"))

        before = servers()
        slow, _ = await asyncio.gather(gate.generate(request("hello")), others())
        assert slow.tries == 2
        return before == servers()

    assert play(site, part, limits=Limits(timeout_s=1.0))


def test_a_refused_request_is_the_only_one_that_fails(site: Site) -> None:
    trouble(site, "400")

    async def part(engine: Engine, gate: Gate) -> None:
        asked = (gate.generate(request("hello")) for _ in range(3))
        said = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) for one in said] == [Refusal, Completion, Completion]

    play(site, part)


def test_a_server_that_dies_without_an_answer_is_given_up_soon(site: Site) -> None:
    trouble(site, *["die"] * 9)

    async def part(engine: Engine, gate: Gate) -> None:
        words = r"started 4 times in a row without an answer: the vLLM server ended \(exit code 1\)"
        with pytest.raises(Gone, match=words):
            await gate.generate(request("hello"))

    play(site, part)


def test_a_full_server_is_given_what_it_runs_and_a_few(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> int:
        assert isinstance(engine, Served)
        asked = asyncio.gather(*(gate.generate(request(f"{i}")) for i in range(1000)))
        most = 0
        await asyncio.sleep(3)
        while not asked.done():
            queue = await engine.queue()
            most = max(most, queue.running + queue.waiting if queue else 0)
            await asyncio.sleep(0.05)
        await asked
        return most

    most = play(site, part, arguments=("--latency", "0.3"), limits=Limits(concurrency=64))
    assert 4 <= most <= 20  # the stand-in says that it runs four and lets others wait


def test_replicas_share_the_work_and_who_begins_alike_goes_to_the_same_one(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> None:
        assert len(servers()) == 2
        await gate.load(adapter(site.folder))
        assert await gate.held() == {"pupil": 1}
        where: dict[str, set[str]] = {}
        for turn in range(4):
            for task in "abcdefghijklmnop":
                one = request(task, 1, "pupil")
                more = [replace(one.prompt[0], content=f"turn {turn}")] * turn
                said = await gate.generate(replace(one, prompt=(*one.prompt, *more)))
                if not turn:
                    continue  # the second message belongs to the beginning
                port = heard(said)["arguments"][7]
                where.setdefault(f"{task} {turn}", set()).add(port)
        assert all(len(ports) == 1 for ports in where.values())
        assert len(set.union(*where.values())) == 2
        said = await asyncio.gather(*(gate.generate(request("same")) for _ in range(64)))
        shares = Counter(heard(one)["arguments"][7] for one in said)
        assert len(shares) == 2  # however alike they are, one replica doesn't do it all
        assert max(shares.values()) <= 0.75 * 64

    play(site, part, replicas=2)


def test_a_lost_replica_leaves_its_work_to_the_others(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> None:
        await gate.load(adapter(site.folder))
        asked = asyncio.gather(*(gate.generate(request(f"{i}", 1, "pupil")) for i in range(200)))
        await asyncio.sleep(0.5)
        os.kill(min(servers()), signal.SIGKILL)
        said = await asked
        assert {one.version for one in said} == {1}
        assert await gate.held() == {"pupil": 1}
        assert len(servers()) == 1
        os.kill(min(servers()), signal.SIGKILL)
        with pytest.raises(
            Gone, match=r"started 1 times \(restarts: 0\): the vLLM server was killed"
        ):
            await gate.generate(request("hello"))

    play(site, part, replicas=2, restarts=0, arguments=("--latency", "0.05"))


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

    play(site, part)


def test_whole_weights_that_the_server_cant_read_leave_it_usable(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> None:
        with pytest.raises(EngineError, match="HTTP 500: safetensors: invalid header"):
            await gate.load(whole(site.folder, 1, "broken"))
        with pytest.raises(EngineError, match=r"was given 'pupil@1#\w+' and holds 'default'"):
            await gate.load(whole(site.folder, 1, "stubborn"))
        assert heard(await gate.generate(request("hello")))["weights"].endswith("model")
        assert await gate.held() == {}

    play(site, part)


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

    play(site, part)


def test_a_server_rests_while_others_learn_and_wakes_when_it_is_asked(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> tuple[int, bool]:
        await gate.rest()
        now = heard(await gate.generate(request("hello")))
        return now["naps"], now["asleep"]

    assert play(site, part, sleep=True) == (1, False)
    assert play(site, part) == (0, False)


KILLED = """\
name: killed
cycles: 1
engines:
  main: {kind: vllm, model: MODEL, arguments: [--latency, "0.05"], limits: {concurrency: 32}}
population: [{name: solver, count: 2}]
tasks: {kind: inline, verifier: number, held_out: 2, per_cycle: 500, items: [ITEMS]}
protocol: {kind: debate, rounds: 2}
evaluation: {samples: 1, controls: false, baseline: false}
"""


def test_ten_kills_of_the_server_leave_every_episode_once(site: Site) -> None:
    items = ", ".join(f"{{prompt: What is {i} + 2?, answer: {i + 2}}}" for i in range(502))
    text = KILLED.replace("MODEL", str(site.folder / "model")).replace("ITEMS", items)
    (site.folder / "x.yaml").write_text(text)
    out, kills = site.folder / "out", []

    def killer() -> None:
        """Kill the server ten times, each time once some more was journalled."""
        while len(kills) < 10:
            time.sleep(0.3)
            wal, alive = out / "journal.sqlite-wal", servers()
            if alive and wal.exists() and written(out) > 150 * (len(kills) + 1):
                os.kill(min(alive), signal.SIGKILL)
                kills.append(min(alive))

    thread = threading.Thread(target=killer, daemon=True)
    thread.start()
    with pytest.raises(SystemExit) as end:
        main(["run", str(site.folder / "x.yaml"), "--out", str(out)])
    assert not end.value.code
    thread.join(1)
    assert len(set(kills)) == 10
    episodes = pq.read_table(out / "cycle-000" / "episodes.parquet")["episode"].to_pylist()
    assert len(episodes) == len(set(episodes)) == 500
    turns = pq.read_table(out / "cycle-000" / "turns.parquet").to_pylist()
    assert len({(turn["episode"], turn["turn"]) for turn in turns}) == len(turns) == 500 * 4
    assert max(turn["tries"] for turn in turns) > 1


def written(out: Path) -> int:
    """Return how much the journal holds."""
    import sqlite3
    from contextlib import closing

    try:
        with closing(sqlite3.connect(f"file:{out / 'journal.sqlite'}?mode=ro", uri=True)) as db:
            return db.execute("select count(*) from said").fetchone()[0]
    except sqlite3.Error:
        return 0
