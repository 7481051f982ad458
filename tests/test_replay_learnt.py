"""A run whose speakers learnt is played again: its weights are learnt anew and known again."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from command import moot
from replayed import contents, rows

from moot.agents.embedded.local import Local
from moot.agents.self_reward import FILE as SELF_REWARD
from moot.experiments.cycle.recording import content

LEARNS = """\
name: learns
seed: 5
cycles: 2
engines:
  main: {{kind: local, model: {model}, device: cpu, batch: 1}}
population:
  - {{name: pupil, count: 3, learns: true, sampling: {{max_tokens: 3}}}}
tasks:
  kind: inline
  verifier: exact
  held_out: 2
  per_cycle: 2
  items: [{items}]
protocol: {{kind: debate, topology: {{kind: chain}}, prompt: "{{others}}?"}}
method: {{kind: ttrl, objective: {{kl: 0.1}}}}
fit: {{lr: 1e-2, device: cpu, lora: {{rank: 4}}}}
evaluation: {{samples: 1, baseline_votes: 2, controls: false}}
"""


@pytest.fixture(scope="module")
def learnt(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run whose speakers learnt."""
    folder = tmp_path_factory.mktemp("learnt")
    items = ", ".join(f"{{prompt: question {i}, answer: a}}" for i in range(8))
    (folder / "x.yaml").write_text(LEARNS.format(model=tiny, items=items))
    assert moot("run", folder / "x.yaml", "--out", folder / "out") == 0
    return folder / "out"


def test_what_was_learnt_is_learnt_again_and_no_engine_is_opened(
    learnt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(self: Local, logs: Path) -> None:
        raise AssertionError

    monkeypatch.setattr(Local, "open", refuses)

    assert moot("run", "--from", learnt, "--out", tmp_path / "again") == 0

    assert contents(tmp_path / "again", "*.parquet", "*.safetensors") == contents(
        learnt, "*.parquet", "*.safetensors"
    )
    swaps = [m for m in rows(learnt, "metrics.parquet") if m["name"].startswith("swap/")]
    assert {m["name"] for m in swaps} == {"swap/canary_change", "swap/trainer_gap"}


def test_weights_are_known_again_in_whatever_order_their_layers_are_filed(
    learnt: Path, tmp_path: Path
) -> None:
    """PEFT keeps an adapter's layers in a set, whose order is another in every process."""
    there, here = learnt / "cycle-000" / "weights" / "pupil", tmp_path / "pupil"
    shutil.copytree(there, here)
    config = json.loads((here / "adapter_config.json").read_text())
    layers = config["target_modules"]
    assert len(layers) > 3
    assert layers == sorted(layers)

    (here / "adapter_config.json").write_text(json.dumps(config | {"target_modules": layers[::-1]}))
    assert content(here) == content(there)

    (here / "adapter_config.json").write_text(json.dumps(config | {"r": 9}))
    assert content(here) != content(there)

    shutil.copytree(there, here, dirs_exist_ok=True)
    assert content(here) == content(there)
    (here / SELF_REWARD).write_text("{}")  # how its verdicts are read
    assert content(here) != content(there)


@pytest.mark.parametrize("cycle", [0, 1])
def test_what_is_learnt_in_a_replay_speaks_in_it(
    learnt: Path, tmp_path: Path, cycle: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """It comes to what it would come to if nothing had been recorded, and all were asked anew."""
    episode = next(
        r["episode"] for r in rows(learnt) if r["episode"].startswith(f"cycle-00{cycle}")
    )
    bare = shutil.copytree(learnt, tmp_path / "bare")
    with closing(sqlite3.connect(bare / "journal.sqlite")) as db, db:
        db.execute("delete from said where episode != ? or turn != 0", (episode,))
    outs = tmp_path / "replayed", tmp_path / "anew"

    for of, out in zip((bare, learnt), reversed(outs), strict=True):
        assert moot("run", "--from", of, "--change", f"{episode}:0=xyz", "--out", out) == 0
    told = capsys.readouterr().out

    for name in ("turns.parquet", "episodes.parquet", "examples.parquet", "metrics.parquet"):
        assert rows(outs[0], name) == rows(outs[1], name)
    adapters = [contents(out, "adapter_model.safetensors") for out in (learnt, *outs)]
    assert adapters[1] == adapters[2]
    same = [adapters[0][name] == adapters[1][name] for name in sorted(adapters[0])]
    assert same == [n < cycle for n in range(2)]
    assert f"pupil, version {cycle + 1}, isn't what spoke in the recording" in told
    changed = [b for a, b in zip(rows(learnt), rows(outs[0]), strict=True) if a != b]
    assert {row["weights_version"] for row in changed} >= {cycle, cycle + 1} - {0}
