"""What serving.py measures in one process: the calls of a debate, by Moot, or by a peer.

The peers' environment runs this too, and has no Moot: what is of Moot is imported where it is used.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from serving_work import AGENTS, CALLS, IN_FLIGHT, ROUNDS, asked, body, debates

Side = Callable[[str, int], Coroutine[Any, Any, list[float]]]
"""Plays so many debates against a server, and returns the seconds that each call took."""


def measure(side: str, url: str, episodes: int) -> dict[str, Any]:
    """Return what one side does in this process: CPU and wall time a call, and latencies."""
    play = _side(side)
    asyncio.run(play(url, max(1, episodes // 10)))  # imports, connections, caches
    cpu, wall = time.process_time(), time.perf_counter()
    latencies = sorted(asyncio.run(play(url, episodes)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    assert len(latencies) == episodes * CALLS, f"{len(latencies)} calls"
    at = {f"p{p}_ms": 1000 * latencies[len(latencies) * p // 100] for p in (50, 99)}
    return {
        "cpu_ms_per_call": 1000 * cpu / len(latencies),
        "calls_per_s": len(latencies) / wall,
    } | at


def many(episodes: int) -> dict[str, Any]:
    """Return what debates cost with an engine that answers at once, and the most memory."""
    from moot.agents.population import Agent, Population
    from moot.agents.scripted import ScriptedEngine
    from moot.agents.task import Task
    from moot.experiments.cycle.talk import talk
    from moot.protocols.debate import Debate
    from moot.protocols.journal import Journal
    from moot.protocols.stage import Stage
    from moot.protocols.verifiers import VERIFIERS

    people = Population(tuple(Agent(f"solver-{i}", "policy", "main") for i in range(AGENTS)))
    number = VERIFIERS["number"]
    tasks = [Task(f"sum-{i}", f"What is {i} + 7?", str(i + 7), number) for i in range(episodes)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        with Journal(out / "journal.sqlite") as journal:
            stage = Stage({"main": ScriptedEngine(lambda _: "It is 7, I think: 7")}, journal, 0)
            debate = Debate(rounds=ROUNDS)
            start = time.process_time()
            asyncio.run(talk(stage, debate, tasks, people, cycle=0, out=out / "cycle-000"))
            cpu = time.process_time() - start
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"cpu_ms_per_episode": 1000 * cpu / episodes, "memory_mb": most}


def _side(name: str) -> Side:
    if name in ("ours", "aiohttp"):
        return {"ours": _moot, "aiohttp": _aiohttp}[name]
    import serving_peers as peers

    return {"openai": peers.openai, "autogen": peers.autogen, "inspect": peers.inspect}[name]


async def _aiohttp(url: str, episodes: int) -> list[float]:
    """A bare loop: orjson out, orjson in, nothing kept."""
    import aiohttp
    import orjson

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(chat: list[dict[str, str]]) -> str:
            data = orjson.dumps(body(chat))
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{url}/v1/chat/completions", data=data, headers=headers) as it:
                return orjson.loads(await it.read())["choices"][0]["message"]["content"]

        return await debates(ask, episodes)


async def _moot(url: str, episodes: int) -> list[float]:
    """Moot as a run does it: stage, gate, journal, progress, and the talk's Parquet files."""
    from random import Random

    from moot.agents.engine import Limits
    from moot.agents.limits.gate import Gate
    from moot.agents.population import Agent, Population
    from moot.agents.serving.vllm import VLLM
    from moot.agents.task import Task
    from moot.agents.types import Sampling
    from moot.experiments.cycle.talk import talk
    from moot.experiments.progress import Show
    from moot.protocols.debate import Debate
    from moot.protocols.journal import Journal
    from moot.protocols.stage import Stage
    from moot.protocols.types import Episode
    from moot.protocols.verifiers import VERIFIERS

    # Agents who are alike would be asked in one request, and no peer does that.
    alone = [Sampling(max_tokens=512 - i) for i in range(AGENTS)]
    people = Population(
        tuple(Agent(f"solver-{i}", "policy", "main", sampling=s) for i, s in enumerate(alone))
    )
    number = VERIFIERS["number"]
    tasks = [Task(f"shop-{i}", asked(i), "7", number) for i in range(episodes)]
    limits, show = Limits(concurrency=IN_FLIGHT), Show()
    took: list[float] = []

    def hear(episode: Episode) -> None:
        took.extend(turn.completion.latency_s for turn in episode.turns)

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        with Journal(out / "journal.sqlite") as journal:
            async with VLLM(url=url, limits=limits).open(out) as engine:
                gate = Gate("main", engine, limits, Random(0))
                stage = Stage({"main": gate}, journal, 0, told=show.turn)
                with show.phase("talk", episodes * CALLS):
                    await talk(
                        stage,
                        Debate(rounds=ROUNDS),
                        tasks,
                        people,
                        cycle=0,
                        out=out / "cycle-000",
                        hear=hear,
                    )
    return took


def main(arguments: Sequence[str]) -> None:
    """Print what a side does, as JSON in the last line: SIDE URL EPISODES."""
    side, url, episodes = arguments
    found = many(int(episodes)) if side == "many" else measure(side, url, int(episodes))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
