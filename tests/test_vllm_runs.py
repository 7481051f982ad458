"""Whole runs on the real vLLM: they learn, swap and prove it, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from command import journalled, moot, rows
from real_vllm import MODEL, needs_vllm
from standing_in import descendants, running, servers

WHOLE = """\
name: whole
cycles: 1
engines:
  main: {kind: vllm, model: MODEL, max_model_len: 768, kv_cache_gib: 1}
population:
  - name: solver
    count: 2
    learns: true
    adapters: each
    sampling: {temperature: 1, max_tokens: 8}
tasks: {kind: inline, verifier: number, held_out: 3, per_cycle: 16, items: [ITEMS]}
protocol: {kind: debate, rounds: 2}
method: {kind: cat, objective: {kl: 0}}
fit: {lr: 3e-4}
evaluation: {samples: 2, baseline: false, controls: false}
stage: {open_episodes: 4}
"""


@pytest.mark.vllm
def test_a_whole_run_debates_learns_swaps_and_answers_again_though_the_server_is_killed(
    tmp_path: Path,
) -> None:
    needs_vllm()
    before, out, killed = descendants(os.getpid()), tmp_path / "out", []

    def kill() -> None:
        """Kill the server's engine once something was said in the debates."""
        while not killed:
            time.sleep(0.05)
            if journalled(out, "cycle-000/") > 20:
                server = min(servers())
                os.kill(server, signal.SIGKILL)
                killed.append(server)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    assert moot("run", written(tmp_path, WHOLE, tasks=19), "--out", out) == 0
    assert killed
    assert not running(descendants(os.getpid()) - before)
    talk = rows(out / "cycle-000" / "turns.parquet")
    assert len({(turn["episode"], turn["turn"]) for turn in talk}) == len(talk) == 16 * 4
    assert sum(turn["tries"] > 1 for turn in talk) > 0
    assert sum(turn["tokens_cached"] for turn in talk) > 0
    changes = swaps(out)
    for name in ("solver-0", "solver-1"):
        assert changes[f"swap/canary_change@{name}"] > 1e-3
        assert changes[f"swap/trainer_gap@{name}"] < 1e-2
    turns = rows(out / "held-out-001" / "turns.parquet")
    assert {turn["weights_version"] for turn in turns} == {1}
    assert {turn["weights"] for turn in turns} == {"solver-0", "solver-1"}


FULL = """\
name: full
cycles: 1
engines:
  main: {kind: vllm, model: MODEL, max_model_len: 512, kv_cache_gib: 1}
population:
  - {name: solver, count: 4, learns: true, sampling: {temperature: 1, max_tokens: 6}}
tasks: {kind: inline, verifier: number, held_out: 2, per_cycle: 4, items: [ITEMS]}
protocol: {kind: consensus}
method: {kind: ttrl, objective: {kl: 0}}
fit: {lr: 1e-4, lora: null}
evaluation: {samples: 2, baseline_votes: 2}
"""


@pytest.mark.vllm
def test_all_weights_may_be_learnt_and_the_base_model_speaks_again_after(tmp_path: Path) -> None:
    needs_vllm()
    out = tmp_path / "out"
    assert moot("run", written(tmp_path, FULL, tasks=6), "--out", out) == 0
    found = swaps(out)
    assert found["swap/canary_change"] > 1e-3
    assert found["swap/trainer_gap"] < 2e-3  # 2e-2 where the output layer stays as it was
    for folder, version in (("held-out-000", 0), ("held-out-001", 1), ("baseline", 0)):
        turns = rows(out / folder / "turns.parquet")
        assert {turn["weights_version"] for turn in turns} == {version}


def written(folder: Path, experiment: str, tasks: int) -> Path:
    """Return the file of an experiment on so many sums."""
    items = [
        f"{{prompt: What is {i} + 2? Only the number., answer: {i + 2}}}" for i in range(tasks)
    ]
    path = folder / "x.yaml"
    path.write_text(experiment.replace("MODEL", MODEL).replace("ITEMS", ", ".join(items)))
    return path


def swaps(out: Path) -> dict[str, float]:
    """Return what the swap's proof measured."""
    metrics = rows(out / "metrics.parquet")
    return {m["name"]: m["value"] for m in metrics if m["name"].startswith("swap/")}


OWNER = """
import asyncio, sys
from pathlib import Path
from moot.agents.serving.vllm import VLLM

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
