"""What goes wrong with a vLLM server, and that nothing is lost by it."""

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from statistics import median

import orjson
import pytest
from aiohttp import ClientSession
from command import journalled, moot, rows
from standing_in import Site, adapter, found, heard, request, servers

from moot.agents.engine import Engine, Limits
from moot.agents.errors import Fault, Gone, Refusal
from moot.agents.limits.gate import Gate
from moot.agents.serving.served import Served
from moot.agents.types import Completion


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return found(tmp_path, monkeypatch)


def test_each_fault_is_got_over_and_every_request_answered_once(site: Site) -> None:
    moods = ("500", "half", "429", "503", "garbled", "die", "408", "forget", "502", "die", "forget")
    site.trouble(*moods)

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

    site.gated(part)


def test_a_server_that_hangs_is_started_again(site: Site) -> None:
    site.trouble("hang", "hang")

    async def part(engine: Engine, gate: Gate) -> tuple[list[Completion], list[set[int]]]:
        seen = [servers()]
        said = await asyncio.gather(*(gate.generate(request("hello")) for _ in range(2)))
        seen.append(servers())
        said.append(await gate.generate(request("hello")))
        return said, [*seen, servers()]

    said, (before, after, later) = site.gated(part, limits=Limits(timeout_s=2.0))
    assert [one.tries for one in said] == [2, 2, 1]
    assert before
    assert after
    assert not before & after
    assert later == after  # once is enough


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
    assert site.gated(part, limits=settings, arguments=("--latency", "60"))


def test_one_slow_answer_among_others_is_no_hang(site: Site) -> None:
    site.trouble("hang")

    async def part(engine: Engine, gate: Gate) -> bool:
        async def others() -> None:
            for _ in range(12):
                await asyncio.sleep(0.1)
                await gate.generate(request("hello"))

        before = servers()
        slow, _ = await asyncio.gather(gate.generate(request("hello")), others())
        assert slow.tries == 2
        return before == servers()

    assert site.gated(part, limits=Limits(timeout_s=1.0))


def test_a_refused_request_is_the_only_one_that_fails(site: Site) -> None:
    site.trouble("400")

    async def part(engine: Engine, gate: Gate) -> None:
        asked = (gate.generate(request("hello")) for _ in range(3))
        said = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) for one in said] == [Refusal, Completion, Completion]

    site.gated(part)


def test_a_server_that_dies_without_an_answer_is_given_up_soon(site: Site) -> None:
    site.trouble(*["die"] * 9)

    async def part(engine: Engine, gate: Gate) -> None:
        words = r"started 4 times in a row without an answer: the vLLM server ended \(exit code 1\)"
        with pytest.raises(Gone, match=words):
            await gate.generate(request("hello"))

    site.gated(part)


def test_a_full_server_is_given_what_it_runs_and_a_few(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> float:
        assert isinstance(engine, Served)
        asked = asyncio.gather(*(gate.generate(request(f"{i}")) for i in range(1000)))
        busy: list[int] = []
        while not asked.done():
            if queue := await engine.queue():
                busy.append(queue.running + queue.waiting)
            await asyncio.sleep(0.05)
        await asked
        return median(busy)

    usual = site.gated(part, arguments=("--latency", "0.3"), limits=Limits(concurrency=64))
    assert 4 <= usual <= 20  # the stand-in says that it runs four and lets others wait


def test_a_server_rests_while_others_learn_and_wakes_when_it_is_asked(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> tuple[int, bool]:
        await gate.rest()
        now = heard(await gate.generate(request("hello")))
        return now["naps"], now["asleep"]

    async def killed(engine: Engine, gate: Gate) -> tuple[int, bool]:
        os.kill(min(servers()), signal.SIGKILL)
        return await part(engine, gate)

    assert site.gated(part, sleep=True) == (1, False)
    assert site.gated(part) == (0, False)
    assert site.gated(killed, sleep=True, limits=Limits(patience_s=20)) == (1, False)


def test_a_server_that_hangs_as_it_wakes_is_started_again(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> bool:
        before = servers()
        await gate.rest()
        (site.folder / "trouble" / "drowsy").touch()
        assert not heard(await gate.generate(request("hello")))["asleep"]
        return bool(before & servers())

    assert not site.gated(part, sleep=True, limits=Limits(timeout_s=1.0))


RESTING = """\
name: resting
cycles: 1
engines: {main: {kind: vllm, model: MODEL, sleep: true}}
population: [{name: solver, learns: true}]
tasks: {kind: inline, verifier: exact, held_out: 1, per_cycle: 1, items: [ITEMS]}
protocol: {kind: consensus}
method: {kind: cat}
fit: {device: cpu}
evaluation: {samples: 1, controls: false, baseline: false}
"""


def test_a_server_rests_while_a_run_learns_and_is_awake_after(site: Site, tiny: Path) -> None:
    items = ", ".join(f"{{prompt: say {i}, answer: {i}}}" for i in range(2))
    text = RESTING.replace("MODEL", str(tiny)).replace("ITEMS", items)
    (site.folder / "x.yaml").write_text(text)
    out = site.folder / "out"

    assert moot("run", site.folder / "x.yaml", "--out", out) == 0

    said = [rows(out / name / "turns.parquet") for name in ("held-out-000", "held-out-001")]
    [before], [after] = ([orjson.loads(turn["text"]) for turn in turns] for turns in said)
    assert [(one["naps"], one["asleep"]) for one in (before, after)] == [(0, False), (1, False)]


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
            if alive and wal.exists() and journalled(out) > 150 * (len(kills) + 1):
                os.kill(min(alive), signal.SIGKILL)
                kills.append(min(alive))

    thread = threading.Thread(target=killer, daemon=True)
    thread.start()
    assert moot("run", site.folder / "x.yaml", "--out", out) == 0
    thread.join(1)
    assert len(set(kills)) == 10
    episodes = [row["episode"] for row in rows(out / "cycle-000" / "episodes.parquet")]
    assert len(episodes) == len(set(episodes)) == 500
    turns = rows(out / "cycle-000" / "turns.parquet")
    assert len({(turn["episode"], turn["turn"]) for turn in turns}) == len(turns) == 500 * 4
    assert max(turn["tries"] for turn in turns) > 1
