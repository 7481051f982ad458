"""Methods that learn from a file: what it holds is streamed, and where it is all, nobody talks."""

from pathlib import Path

import method_runs
import pytest
from command import rows
from method_runs import JUDGED, RUNS, SAMPLE, played

from moot.agents.errors import InputError
from moot.experiments.cycle.given import gathered
from moot.experiments.export import export
from moot.experiments.plan import plan
from moot.experiments.yaml.loading import load
from moot.training.data.filed import Filed


def test_what_a_file_teaches_stays_in_a_file_with_what_was_said(
    roomy: Path, tmp_path: Path
) -> None:
    RUNS["dpo of both"] = (JUDGED, "{kind: dpo, file: likes.jsonl}")

    out = played(tmp_path, roomy, "dpo of both")

    taught = rows(out / "cycle-000/examples.parquet")
    assert [row["episode"] for row in taught[:3]] == [f"likes.jsonl/{i}" for i in (1, 2, 3)]
    assert len(taught) > 3
    assert not (out / "cycle-000/given").exists()  # it is learnt
    experiment, _ = load(tmp_path / "x.yaml")
    assert experiment.method is not None
    assert isinstance(gathered(experiment.method, [], tmp_path, experiment.method.given()), Filed)


@pytest.mark.parametrize(
    ("name", "asked"),
    [("dpo of a file", "question {}"), ("rlhf", " Question  {}"), ("dpo of a file", "{} asked")],
)
def test_what_a_file_asks_that_is_held_out_is_not_learnt(
    name: str, asked: str, roomy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    likes = [{"prompt": asked.format(i), "chosen": "a", "rejected": "bb"} for i in range(8)]
    monkeypatch.setattr(method_runs, "LIKES", likes)

    out = played(tmp_path, roomy, name)

    measured = {row["name"]: row["value"] for row in rows(out / "metrics.parquet")}
    assert measured.get("talk/reserved") == (None if "asked" in asked else 2)
    if name == "dpo of a file":
        kept = {row["episode"] for row in rows(out / "cycle-000/examples.parquet")}
        assert len(kept) == 8 - measured.get("talk/reserved", 0)


@pytest.mark.parametrize("name", ["dpo of a file", "rlhf"])
def test_a_file_of_which_all_is_held_out_is_refused(
    name: str, roomy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_ = {f"question {i}" for i in range(8)}
    split = load(played(tmp_path, roomy, "ttrl").parent / "x.yaml", ())[1]
    held_out = sorted(all_ - {task.prompt for task in split.train})
    likes = [{"prompt": asked, "chosen": "a", "rejected": "bb"} for asked in held_out]
    monkeypatch.setattr(method_runs, "LIKES", likes)

    with pytest.raises(InputError, match=r"method\.file: all that it asks is held out here"):
        played(tmp_path, roomy, name)


def test_where_a_file_has_all_that_is_learnt_nobody_talks_about_the_tasks(
    roomy: Path, tmp_path: Path
) -> None:
    out = played(tmp_path, roomy, "dpo of a file")

    experiment, split = load(out.parent / "x.yaml", ())
    used = [row for row in rows(out / "usage.parquet") if row["phase"] == "cycle-000"]
    assert sum(row["calls"] for row in used) == 0
    assert rows(out / "cycle-000/turns.parquet") == []
    assert "calls       0 a cycle" in "\n".join(plan(experiment, split))


def test_a_reward_model_learns_what_a_file_has_once(roomy: Path, tmp_path: Path) -> None:
    out = played(tmp_path, roomy, "rlhf", "cycles=2")

    measured = rows(out / "metrics.parquet")
    assert {row["cycle"] for row in measured if row["name"] == "train/loss"} == {0, 1}
    assert {row["cycle"] for row in measured if row["name"] == "train/loss@reward_model"} == {0}
    assert (out / "cycle-000/reward_model").is_dir()
    assert not (out / "cycle-001/reward_model").exists()


@pytest.mark.parametrize("kind", ["demonstrations", "references"])
def test_exported_demonstrations_are_learnt_from(kind: str, roomy: Path, tmp_path: Path) -> None:
    told, heard = tmp_path / "told", tmp_path / "heard"
    for folder in (told, heard):
        folder.mkdir()
    export(played(told, roomy, "sft of demonstrations"), kind, heard / "shows.parquet")
    RUNS["sft of a file"] = (SAMPLE, "{kind: sft, talk: false, file: shows.parquet}")

    out = played(heard, roomy, "sft of a file")

    shown, taught = rows(heard / "shows.parquet"), rows(out / "cycle-000/examples.parquet")
    columns = ("prompt", "completion")
    assert [[row[c] for c in columns] for row in taught] == [[r[c] for c in columns] for r in shown]
    assert [row["name"] for row in taught] == [row.get("name", "") for row in shown]
    assert [row["episode"] for row in taught] == [
        f"shows.parquet/{i}" for i in range(1, len(shown) + 1)
    ]
    assert (out / "cycle-000/weights/pupil/adapter_model.safetensors").is_file()
    experiment, _ = load(heard / "x.yaml")
    assert experiment.method is not None
    assert isinstance(gathered(experiment.method, [], heard, experiment.method.given()), Filed)
