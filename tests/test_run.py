"""A whole run on a real, tiny model: what it leaves, what it proves, and that it ends once."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from command import moot, rows

from moot.experiments.run import run
from moot.experiments.yaml.loading import load
from moot.training.checkpoint import read

EXPERIMENT = """\
name: whole
seed: 5
cycles: 2
engines:
  main: {{kind: local, model: {model}, device: cpu}}
population:
  - {{name: pupil, count: 4, learns: true, adapters: each,
     sampling: &s {{temperature: .5, max_tokens: 1}}}}
  - {{name: elder, sampling: *s}}
tasks:
  kind: inline
  verifier: exact
  held_out: 4
  per_cycle: 6
  items: [{items}]
protocol: {{kind: consensus, samples: 2}}
method: {{kind: cat, objective: {{kl: 0.1}}}}
fit: {{lr: 1e-3, groups: 3, device: cpu, lora: {{rank: 4}}}}
evaluation: {{samples: 2, baseline_votes: 3}}
"""

TURNS = """
cycle episode turn round agent role weights_version heard prompt text answer tokens_in tokens_out
logprob latency_s finish tokens_cached tries ended_s
"""


@pytest.fixture(scope="module")
def whole(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that ended."""
    folder = tmp_path_factory.mktemp("run")
    items = ", ".join(f"{{prompt: question {i}, answer: a}}" for i in range(16))
    (folder / "x.yaml").write_text(EXPERIMENT.format(model=tiny, items=items))
    assert moot("run", folder / "x.yaml", "--out", folder / "out") == 0
    return folder / "out"


def metrics(out: Path) -> Mapping[tuple[str, int, int | None], dict[str, Any]]:
    return {(m["name"], m["cycle"], m["step"]): m for m in rows(out / "metrics.parquet")}


def test_the_directory_answers_every_question(whole: Path) -> None:
    # How many answers a control has hangs on how long they are.
    names = (str(path.relative_to(whole)) for path in whole.rglob("*.parquet"))
    files = {re.sub(r"^(controls-\w+-)\d+", r"\1N", name) for name in names}

    talk = ("turns", "episodes", "verdicts")
    taught = ("examples", "preferences", "demonstrations")
    expected = {f"cycle-00{n}/{name}.parquet" for n in (0, 1) for name in (*talk, *taught)}
    expected |= {f"held-out-00{n}/{name}.parquet" for n in (0, 1, 2) for name in talk}
    controls = ("protocol", "vote-N", "reflection-N")
    expected |= {f"controls-{one}/{name}.parquet" for one in controls for name in talk}
    expected |= {f"baseline/{name}.parquet" for name in talk}
    expected |= {"metrics.parquet", "usage.parquet"}
    assert files == expected
    assert not list(whole.rglob("*.part"))
    for name in ("experiment.yaml", "report.html", "journal.sqlite"):
        assert (whole / name).is_file()
    schema = pq.read_schema(whole / "cycle-000" / "turns.parquet")
    assert set(TURNS.split()) <= set(schema.names)
    assert schema.metadata[b"moot_schema"] == b"2"


def test_each_cycle_talks_about_tasks_of_its_own_while_there_are_any(whole: Path) -> None:
    played = (rows(whole / f"cycle-00{cycle}" / "episodes.parquet") for cycle in (0, 1))
    first, second = ({episode["task"] for episode in episodes} for episodes in played)

    assert len(first) == len(second) == 6
    assert not first & second


def test_every_completion_is_stamped_with_the_version_that_spoke(whole: Path) -> None:
    for cycle in (0, 1):
        spoke = {
            (turn["agent"].partition("-")[0], turn["weights_version"])
            for turn in rows(whole / f"cycle-00{cycle}" / "turns.parquet")
        }
        assert spoke == {("pupil", cycle), ("elder", 0)}
    for version in (0, 1, 2):
        turns = rows(whole / f"held-out-00{version}" / "turns.parquet")
        assert {turn["weights_version"] for turn in turns} == {version}
        assert {turn["agent"] for turn in turns} == {f"pupil-{i}" for i in range(4)}
    # The controls are of the end; what all of it is measured against never learnt.
    for folder in whole.glob("controls-*"):
        turns = rows(folder / "turns.parquet")
        assert {t["weights_version"] for t in turns if t["agent"] != "elder"} == {2}
    assert {turn["weights_version"] for turn in rows(whole / "baseline" / "turns.parquet")} == {0}


def test_every_pupil_has_weights_of_its_own_that_were_proven(whole: Path) -> None:
    found = metrics(whole)
    adapters = [
        (whole / f"cycle-00{cycle}" / "weights" / f"pupil-{i}" / "adapter_model.safetensors")
        for cycle in (0, 1)
        for i in range(4)
    ]

    assert len({path.read_bytes() for path in adapters}) == 8
    for cycle in (0, 1):
        for i in range(4):
            assert found[f"swap/canary_change@pupil-{i}", cycle, None]["value"] > 0


def test_every_cycle_goes_on_from_what_was_learnt_in_the_one_before(whole: Path) -> None:
    for i in range(4):
        cycles = (whole / f"cycle-00{cycle}" / "weights" / f"pupil-{i}" for cycle in (0, 1))
        assert [read(folder).taken for folder in cycles] == [2, 4]


def test_what_was_measured_has_intervals_and_a_baseline_beside_it(whole: Path) -> None:
    found = metrics(whole)

    for version in (0, 1, 2):
        for name in ("held_out/accuracy", "held_out/majority", "held_out/accuracy@pupil-3"):
            measured = found[name, version, None]
            assert 0 <= measured["low"] <= measured["value"] <= measured["high"] <= 1
    assert found["baseline/votes", 2, None]["value"] == 3
    steps = [key for key in found if key[0] == "train/loss@pupil-0"]
    assert [(cycle, step) for _, cycle, step in steps] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_every_example_names_the_conversation_behind_it(whole: Path) -> None:
    for cycle in (0, 1):
        folder = whole / f"cycle-00{cycle}"
        turns = {(t["episode"], t["turn"]): t for t in rows(folder / "turns.parquet")}
        examples = rows(folder / "examples.parquet")
        assert len([e for e in examples if e["teaches"]]) == 6 * 4 * 2
        assert len(examples) == 6 * 5 * 2  # the elder's answers are of the group, and teach nobody
        for example in examples:
            turn = turns[example["episode"], example["turn"]]
            assert turn["agent"] == example["agent"]
            own = (None, 0) if turn["agent"] == "elder" else (turn["agent"], cycle)
            assert (example["weights"], example["weights_version"]) == own
            assert example["learner"] == own[0]
            assert example["completion"] == [{"role": "assistant", "content": turn["text"]}]


def test_a_debate_teaches_what_was_said_after_hearing_others(tiny: Path, tmp_path: Path) -> None:
    items = ", ".join(f"{{prompt: question {i}, answer: a}}" for i in range(16))
    text = EXPERIMENT.format(model=tiny, items=items).replace("count: 4", "count: 3")
    debate = "{kind: debate, topology: {kind: chain}, sees: named, prompt: '{others}?'}"
    (tmp_path / "x.yaml").write_text(text.replace("{kind: consensus, samples: 2}", debate))

    run(*load(tmp_path / "x.yaml", ["cycles=1", "evaluation.baseline=false"]), tmp_path / "out")

    folder = tmp_path / "out" / "cycle-000"
    turns = {(t["episode"], t["turn"]): t for t in rows(folder / "turns.parquet")}
    examples = rows(folder / "examples.parquet")
    assert {turns[e["episode"], e["turn"]]["round"] for e in examples} == {0, 1}
    for example in examples:
        turn = turns[example["episode"], example["turn"]]
        roles = [message["role"] for message in example["prompt"]]
        assert roles == ["user", "assistant"] * turn["round"] + ["user"]
        assert len(example["prompt_ids"]) == turn["tokens_in"]
        assert bool(turn["heard"]) == bool(turn["round"])
    steps = metrics(tmp_path / "out")
    assert steps["train/completions@pupil-0", 0, 0]["value"] > 0


def test_a_run_that_ended_is_not_run_again(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*.safetensors")}
    journal = (whole / "journal.sqlite").read_bytes()

    run(*load(whole.parent / "x.yaml"), whole)

    assert (whole / "journal.sqlite").read_bytes() == journal
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*.safetensors")} == before
    assert "talk" not in capsys.readouterr().out


def test_the_resolved_experiment_can_be_run_itself(whole: Path) -> None:
    resolved, split = load(whole / "experiment.yaml")
    written, same = load(whole.parent / "x.yaml")

    assert resolved.model_copy(update={"made_with": None}) == written
    assert split.held_out == same.held_out
    assert resolved.made_with is not None
    assert {"moot", "torch", "transformers", "tasks", "rerun"} <= set(resolved.made_with)
