"""Every method, through a whole run on a real, tiny model: what it teaches, and that it learns."""

import math
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from command import rows
from method_runs import RUNS, SAMPLE, played
from pydantic import TypeAdapter
from told import words

from moot.agents.errors import MootError
from moot.experiments.cycle.course import Lessons
from moot.experiments.cycle.learn import current, learn, published
from moot.experiments.yaml.loading import load
from moot.experiments.yaml.source import parse
from moot.training import MethodChoice
from moot.training.data.examples import Rollout


@pytest.mark.parametrize("name", RUNS)
def test_a_run_learns_by_the_method(name: str, roomy: Path, tmp_path: Path) -> None:
    out = played(tmp_path, roomy, name)

    metrics = rows(out / "metrics.parquet")
    steps = [m for m in metrics if m["name"] == "train/loss"]
    assert steps
    assert all(math.isfinite(m["value"]) for m in metrics if m["name"].startswith("train/"))
    assert (out / "cycle-000/weights/pupil/adapter_model.safetensors").is_file()
    change = [m["value"] for m in metrics if m["name"] == "swap/canary_change"]
    assert len(change) == 1
    assert change[0] > 0
    [gap] = [m["value"] for m in metrics if m["name"] == "swap/trainer_gap"]
    assert gap < 1e-4
    assert any(row["teaches"] for row in rows(out / "cycle-000/examples.parquet"))


@pytest.mark.parametrize("name", RUNS)
def test_another_process_reads_the_method_as_it_is(name: str, tmp_path: Path) -> None:
    (tmp_path / "likes.jsonl").touch()
    choice: TypeAdapter[object] = TypeAdapter(MethodChoice)
    method = choice.validate_python(parse(RUNS[name][1], name).data, context=tmp_path)

    assert choice.validate_json(choice.dump_json(method)) == method


@pytest.mark.parametrize("name", ["cat", "sum"])
def test_two_processes_learn_from_the_same_file_what_one_learns(
    name: str, roomy: Path, tmp_path: Path
) -> None:
    outs: list[Path] = []
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        folder.mkdir()
        sets = (f"fit.processes={processes}", "fit.batch_tokens=60")
        outs.append(played(folder, roomy, name, *sets))

    one, two = (
        {(m["name"], m["step"]): m["value"] for m in rows(out / "metrics.parquet")} for out in outs
    )
    learnt = [key for key in one if key[0].startswith(("train/", "swap/"))]
    assert ("train/loss", 0) in learnt
    for key in learnt:
        assert two[key] == pytest.approx(one[key], rel=1e-3, abs=1e-4), key


@pytest.mark.parametrize(
    ("name", "sets", "found"),
    [
        ("intuitor", (), {"train/alike": 0.0, "train/alone": 0.0}),
        (
            "intuitor",
            ("population.0.adapters=each", "protocol={kind: sample}"),
            {"train/alike@pupil-0": 1.0, "train/alone@pupil-0": 1.0},
        ),
        # Others' answers count in the group, whoever learns from them.
        ("ttrl", ("population.0.adapters=each",), {"train/alone@pupil-0": 0.0}),
    ],
)
def test_who_has_nothing_to_compare_is_told(
    name: str,
    sets: tuple[str, ...],
    found: dict[str, float],
    roomy: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = played(tmp_path, roomy, name, "method.objective={kl: 0}", *sets)

    metrics = {m["name"]: m for m in rows(out / "metrics.parquet")}
    assert {name: metrics[name]["value"] for name in found} == found
    assert all(metrics[name]["step"] is None for name in found)
    told = "pupil-0 learnt nothing in cycle 0" in capsys.readouterr().out
    assert told == (1.0 in found.values())


@pytest.mark.parametrize("guard", ["{length: 0.5}", "{distinct: 1, then: rollback}"])
def test_who_was_stopped_by_a_guard_is_told_by_which(
    guard: str, roomy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RUNS["guarded"] = (SAMPLE, "{kind: laser, alpha: 0, objective: {entropy: 0.1}}")

    played(tmp_path, roomy, "guarded", f"fit.guards={guard}")

    said = capsys.readouterr().out
    name = guard[1:].partition(":")[0]
    assert re.search(rf"pupil: training ended in cycle 0: {name} .* fit.guards.{name}", said)
    assert "learnt nothing" not in said


def test_what_a_cycle_was_to_teach_is_there_though_its_training_fails(
    tiny: Path, tmp_path: Path
) -> None:
    with pytest.raises(MootError, match=r"fit\.guards\.length"):
        played(tmp_path, tiny, "intuitor", "fit.guards={length: 0.5, then: fail}")

    folder = tmp_path / "out/cycle-000"
    assert not (folder / "weights").exists()
    turns = {(row["episode"], row["turn"]): row for row in rows(folder / "turns.parquet")}
    taught = rows(folder / "examples.parquet")
    assert {(row["episode"], row["turn"]) for row in taught} == turns.keys()
    for row in taught:
        said = turns[row["episode"], row["turn"]]["text"]
        assert row["completion"] == [{"role": "assistant", "content": said}]
        assert row["learner"] is None  # nobody has learnt from it


def test_verdicts_that_are_learnt_weigh_the_next_votes(roomy: Path, tmp_path: Path) -> None:
    RUNS["laser, voting"] = (
        "{kind: consensus, samples: 2, weigh: self_reward}",
        "{kind: laser, reward: match, beta: 0.4, objective: {kl: 0}}",
    )

    #  Long enough for some random words to end by themselves.
    long = "population.0.sampling.max_tokens=200"
    out = played(tmp_path, roomy, "laser, voting", "cycles=2", long, "evaluation.samples=12")

    assert (out / "cycle-000/weights/pupil/self_reward.json").is_file()
    first, second = (rows(out / f"cycle-00{n}/turns.parquet") for n in range(2))
    assert {row["role"] for row in first} == {"policy"}
    #  Who gave an answer that can be read judges it; random weights often give none.
    assert {row["role"] for row in second} == {"policy", "judge"}
    judged = [row for row in second if row["role"] == "judge"]
    assert all(len(row["heard"]) == 1 for row in judged)
    #  In an evaluation they are read as soon as they are learnt.
    examined = [rows(out / f"held-out-00{n}/turns.parquet") for n in range(2)]
    assert [{row["role"] for row in turns} for turns in examined] == [
        {"policy"},
        {"policy", "judge"},
    ]
    last = {row["name"] for row in rows(out / "metrics.parquet") if row["cycle"] == 1}
    assert "held_out/weighted_majority" in last


def test_a_policy_at_its_anchor_learns_nothing_from_answers_that_all_earn_alike(
    roomy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    #  The KL of GRPO's loss has a gradient of rounding noise there, which AdamW makes steps of.
    sets = ("population.0.count=1", "protocol={kind: consensus}", "fit.groups=1")

    out = played(tmp_path, roomy, "cat", *sets)

    metrics = {m["name"]: m["value"] for m in rows(out / "metrics.parquet")}
    assert metrics["talk/alone"] == 1
    assert "train/loss" not in metrics
    assert not (out / "cycle-000/weights/pupil").exists()
    why = "all rewards were alike in 100% of the groups; 100% of the groups had one answer"
    assert re.search(rf"pupil learnt nothing in cycle 0: .*{why}\n", capsys.readouterr().out)


def pupils(*rewards: float | None) -> tuple[Rollout, ...]:
    """Answers of the pupil to one question."""
    said = [words(text) for text in ("a", "bb", "c", "dd")]
    return tuple(
        Rollout("e", i, 0, "pupil-0", "pupil", 1, said[i], reward)
        for i, reward in enumerate(rewards)
    )


def test_without_new_preferences_the_reward_model_of_before_rewards(
    roomy: Path, tmp_path: Path
) -> None:
    out = played(tmp_path, roomy, "rlaif")
    experiment, _ = load(tmp_path / "x.yaml")
    lessons = Lessons(pupils(None, None, None))

    steps = list(learn(experiment, lessons, current(out, 1), cycle=1, folder=out / "cycle-001"))

    assert {name for name, *_ in steps} == {"pupil"}
    rewards = [row["reward"] for row in rows(out / "cycle-001/examples.parquet")]
    assert len(set(rewards)) == 3
    assert None not in rewards
    assert (out / "cycle-001/weights/pupil").is_dir()


def test_without_any_reward_model_nothing_is_taught(roomy: Path, tmp_path: Path) -> None:
    played(tmp_path, roomy, "rlaif", "cycles=0")
    experiment, _ = load(tmp_path / "x.yaml")
    folder = tmp_path / "fresh" / "cycle-000"
    folder.mkdir(parents=True)

    assert list(learn(experiment, Lessons(pupils(None, None)), {}, cycle=0, folder=folder)) == []

    assert published(folder)
    assert list((folder / "weights").iterdir()) == []


def test_a_model_that_cannot_learn_so_is_told_before_anything_is_said(
    tiny: Path, tmp_path: Path
) -> None:
    RUNS["laser"] = (SAMPLE, "{kind: laser}")

    with pytest.raises(MootError, match="method laser: the tokenizer has no special token"):
        played(tmp_path, tiny, "laser")

    with closing(sqlite3.connect(tmp_path / "out/journal.sqlite")) as journal:
        assert journal.execute("select count(*) from said").fetchone() == (0,)
