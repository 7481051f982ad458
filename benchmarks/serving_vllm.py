"""What serving.py measures against the real vLLM: debates, adapters and samples of one prompt."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from processes import answering, resident
from serving_engines import Apart

from moot.agents.limits.gate import Gate
from moot.agents.population import Agent, Population
from moot.agents.serving.served import Served
from moot.agents.serving.vllm import VLLM
from moot.agents.task import Task
from moot.agents.types import Sampling, Weights
from moot.agents.weights.models import locate
from moot.experiments.cycle.talk import talk
from moot.protocols.consensus import Consensus
from moot.protocols.debate import Debate
from moot.protocols.journal import Journal
from moot.protocols.stage import Stage
from moot.protocols.types import Episode, Protocol
from moot.protocols.verifiers import VERIFIERS

MODEL = "smollm2-135m-instruct"
SAID, SOLVED = 48, 128
"""Tokens of an answer, at most: in a debate, and of who works on adapters."""
AGENTS, ADAPTERS, RANK = 64, 32, 8
ALIKE = 16
"""Agents who say something to one prompt."""
QUESTION = (
    "A shop has {a} boxes of apples and gets {b} more on the next day. On the third day it sells "
    "{c} of them to a school, and on the fourth day {d} boxes are given back, for the apples in "
    "them are brown. How many boxes of apples does the shop have in the end? Think step by step, "
    "then say the number at the end."
)


def settings(loras: int) -> VLLM:
    """Return the server that both cases are measured with."""
    return VLLM(model=MODEL, max_loras=loras, max_lora_rank=RANK, kv_cache_gib=2)


def question(i: int) -> Task:
    """Return the `i`-th task: words alike, numbers its own."""
    a, b, c, d = (3 + i * k % 17 for k in (1, 3, 5, 7))
    text = QUESTION.format(a=a, b=b, c=min(c, a + b), d=d)
    return Task(f"shop-{i}", text, str(a + b - min(c, a + b) + d), VERIFIERS["number"])


@asynccontextmanager
async def stage(server: VLLM, adapters: int) -> AsyncGenerator[tuple[Stage, Served, Path]]:
    """Give a stage as a run has it, its engine, and a folder for what is written."""
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder) / "journal") as journal:
        async with server.open(Path(folder), adapters) as engine:
            assert isinstance(engine, Served)
            gate = Gate("main", engine, server.limits, Random(0))
            yield Stage({"main": gate}, journal, 0), engine, Path(folder)


async def play(
    at: Stage, protocol: Protocol, tasks: Iterable[Task], people: Population, out: Path
) -> tuple[list[Episode], float]:
    """Return the episodes, and the seconds that they took."""
    episodes: list[Episode] = []
    start = time.perf_counter()
    await talk(at, protocol, list(tasks), people, cycle=0, out=out, hear=episodes.append)
    return episodes, time.perf_counter() - start


async def debate(out: Path, n: int) -> dict[str, Any]:
    """Play `n` debates; leave their prompts in `out` for who asks them all at once."""
    sampling = Sampling(max_tokens=SAID)
    people = Population(
        tuple(Agent(f"solver-{i}", "policy", "main", sampling=sampling) for i in range(3))
    )
    async with stage(settings(4), 4) as (at, engine, run):
        await play(at, Debate(rounds=2), [question(10_000)], people, run / "warm")
        before = cached(engine)
        tasks = map(question, range(n))
        episodes, seconds = await play(at, Debate(rounds=2), tasks, people, run / "talk")
        found = cached(engine) - before
    turns = [turn for episode in episodes for turn in episode.turns]
    chats = [[{"role": m.role, "content": m.content} for m in t.prompt] for t in turns]
    (out / "prompts.json").write_text(json.dumps(chats))
    said = [turn.completion for turn in turns]
    begun = sorted(said, key=lambda one: one.ended_s - one.latency_s)
    read = [(one.prompt_tokens, (*one.prompt_tokens, *one.tokens)) for one in begun]
    return {
        "tokens_per_s": sum(one.tokens_out for one in said) / seconds,
        "prompt_tokens": sum(one.tokens_in for one in said),
        "cache_share": found / shared(read),
    }


def cached(engine: Served) -> float:
    """Return how many prompt tokens the server has found in its cache so far."""
    with urllib.request.urlopen(f"{engine.root}/metrics") as page:
        said = page.read().decode()
    return sum(map(float, re.findall(r"^vllm:prefix_cache_hits_total{.*} (\S+)$", said, re.M)))


def shared(texts: Iterable[tuple[Sequence[int], Sequence[int]]]) -> int:
    """Return how many tokens of prompts were read or said before at the same beginning, all in all.

    Args:
        texts: each prompt, and the prompt with what was said to it, as they were begun.
    """
    known: dict[int, Any] = {}
    found = 0
    for prompt, whole in texts:
        node, there = known, 0
        for token in whole:
            there += token in node
            node = node.setdefault(token, {})
        found += min(there, len(prompt))
    return found


def offline(out: Path) -> dict[str, Any]:
    """Return what vLLM does with the same prompts, all of them given to it at once."""
    from vllm import LLM, SamplingParams

    own = settings(4)
    model = LLM(
        model=str(locate(MODEL)),
        dtype="float32",
        enforce_eager=True,
        max_model_len=own.max_model_len,
        max_num_batched_tokens=max(own.max_model_len, 2048),
        enable_chunked_prefill=False,
        block_size=32,
        enable_lora=True,
        max_loras=own.places(4),
        max_lora_rank=own.max_lora_rank,
        disable_log_stats=False,
    )
    chats = json.loads((out / "prompts.json").read_text())
    params = [
        SamplingParams(temperature=1.0, max_tokens=SAID, seed=i, logprobs=0)
        for i in range(len(chats))
    ]
    model.chat(chats[:1], params[:1], use_tqdm=False)
    start = time.perf_counter()
    said = model.chat(chats, params, use_tqdm=False)
    seconds = time.perf_counter() - start
    return {"tokens_per_s": sum(len(one.outputs[0].token_ids) for one in said) / seconds}


async def adapters(out: Path, distinct: int, n: int) -> dict[str, Any]:
    """Ask agents of so many adapters `n` questions each, and look at the server's memory."""
    folders = made(out, ADAPTERS)
    sampling = Sampling(max_tokens=SOLVED)
    people = Population(tuple(_agent(i, f"pupil-{i % distinct}", sampling) for i in range(AGENTS)))
    async with stage(settings(ADAPTERS), ADAPTERS) as (at, engine, run):
        before = resident()
        for i in range(distinct):
            await engine.load(Weights(f"pupil-{i}", 1, folders[i]))
        await play(at, Consensus(), [question(10_000)], people, run / "warm")
        loaded = resident()
        tasks = map(question, range(n))
        episodes, seconds = await play(at, Consensus(), tasks, people, run / "talk")
    said = [turn.completion for episode in episodes for turn in episode.turns]
    assert {one.version for one in said} == {1}
    return {
        "tokens_per_s": sum(one.tokens_out for one in said) / seconds,
        "mb_an_adapter": (loaded - before) / 1e6 / distinct,
    }


async def samples(n: int, *, together: bool) -> dict[str, Any]:
    """Ask agents who are alike `n` questions each, all of them in one request, or one in each."""
    sampling = Sampling(max_tokens=SAID)
    people = Population(
        tuple(Agent(f"solver-{i}", "policy", "main", sampling=sampling) for i in range(ALIKE))
    )
    async with stage(settings(4), 4) as (at, _, run):
        if not together:
            at = replace(at, engines={"main": Apart(at.engines["main"])})
        await play(at, Consensus(), [question(10_000)], people, run / "warm")
        own, front = time.process_time(), answering()
        episodes, seconds = await play(at, Consensus(), map(question, range(n)), people, run / "on")
        own, front = time.process_time() - own, answering() - front
    said = [turn.completion for episode in episodes for turn in episode.turns]
    return {
        "tokens_per_s": sum(one.tokens_out for one in said) / seconds,
        "cpu_ms_per_call": 1000 * own / len(said),
        "server_ms_per_call": 1000 * front / len(said),
    }


def _agent(i: int, weights: str, sampling: Sampling) -> Agent:
    # Those who share weights are one group, or else a population refuses them.
    name = f"solver-{i}"
    return Agent(name, "policy", "main", weights, weights=weights, version=1, sampling=sampling)


def made(out: Path, n: int) -> list[Path]:
    """Return the folders of `n` adapters, each of its own random numbers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(locate(MODEL), dtype=torch.float32)
    tuned = get_peft_model(model, LoraConfig(r=RANK, target_modules="all-linear"))
    numbers = torch.Generator().manual_seed(0)
    folders: list[Path] = []
    for i in range(n):
        for name, parameter in tuned.named_parameters():
            if "lora_" in name:
                parameter.data.normal_(0.0, 0.01, generator=numbers)
        folders.append(out / f"adapter-{i}")
        tuned.save_pretrained(str(folders[-1]))
    return folders


def main(arguments: Sequence[str]) -> None:
    """Print what a side does, as JSON in the last line: SIDE FOLDER N."""
    side, folder, n = arguments
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    if side == "offline":
        found = offline(out)
    elif side == "debate":
        found = asyncio.run(debate(out, int(n)))
    elif side in ("together", "apart"):
        found = asyncio.run(samples(int(n), together=side == "together"))
    else:
        found = asyncio.run(adapters(out, {"one": 1, "many": ADAPTERS}[side], int(n)))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
