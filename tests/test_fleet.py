"""Several vLLM servers of one model share its work."""

import asyncio
import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from standing_in import Site, adapter, found, heard, request, servers

from moot.agents.engine import Engine
from moot.agents.errors import EngineError, Gone
from moot.agents.limits.gate import Gate
from moot.agents.population import Agent, Population
from moot.agents.serving.fleet import Fleet
from moot.agents.task import Task
from moot.experiments.cycle.swap import swap
from moot.protocols.journal import Journal
from moot.protocols.verifiers import VERIFIERS


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return found(tmp_path, monkeypatch)


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
        alone = {heard(await gate.generate(request("alone")))["arguments"][7] for _ in range(8)}
        assert len(alone) == 1  # nothing else is under way
        said = await asyncio.gather(*(gate.generate(request("same")) for _ in range(64)))
        shares = Counter(heard(one)["arguments"][7] for one in said)
        assert len(shares) == 2  # however alike they are, one replica doesn't do it all
        assert max(shares.values()) <= 0.75 * 64

    site.gated(part, replicas=2)


def test_a_replica_that_takes_new_weights_and_speaks_as_before_is_caught(site: Site) -> None:
    people = Population((Agent("a", "policy", "main", weights="pupil"),))
    task = Task("t", "2 + 2?", "4", VERIFIERS["number"])

    async def part(engine: Engine, gate: Gate) -> None:
        ports = [heard(one)["arguments"][7] for one in await gate.everywhere(request("hello"))]
        assert len(set(ports)) == 2
        with Journal(site.folder / "journal") as journal:

            async def proven(version: int) -> float:
                weights = adapter(site.folder, version=version)
                found = await swap({"main": gate}, people, [weights], journal, task, {"main": 0.1})
                return found[0].value

            assert await proven(1) > 0
            (site.folder / "trouble" / f"deaf-{ports[1]}").touch()
            with pytest.raises(EngineError, match="the weights did not change"):
                await proven(2)

    site.gated(part, replicas=2)


def test_a_replica_that_tells_nothing_for_a_while_has_done_what_it_told(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> None:
        assert isinstance(engine, Fleet)
        asked = [request(f"{i}") for i in range(40)]
        await asyncio.gather(*map(engine.generate, asked))
        before = await engine.queue()
        assert before is not None
        assert (before.answered, before.tokens, before.running) == (40, 80, 0)  # by the stand-in
        assert 0 < before.latencies_s < 40 * 60
        os.kill(min(servers()), signal.SIGKILL)
        await asyncio.sleep(0.5)
        assert await engine.queue() == before

    site.gated(part, replicas=2)


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

    site.gated(part, replicas=2, restarts=0, arguments=("--latency", "0.05"))
