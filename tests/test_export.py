"""What a run taught comes out as one file in the columns that trainers read."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from command import moot
from handmade import write_episodes
from told import episode, pair, rollout, turn, words

from moot.experiments.export import KINDS
from moot.experiments.files.columns import ROLLOUTS
from moot.experiments.files.lessons import write_examples
from moot.experiments.main import TAUGHT, main
from moot.protocols.types import Outcome
from moot.training.data.demonstrations import read

EXPERIMENT = """\
name: judged
cycles: 2
engines:
  main: {kind: simulated, competence: 0.6}
  court: {kind: simulated, competence: 0.9}
population:
  - {name: solver, count: 3, engine: main, persona: Be brief.}
  - {name: judge, role: judge, engine: court}
tasks: {kind: simulated, options: 4, size: 30, held_out: 10, per_cycle: 10}
protocol: {kind: judged, talk: {kind: consensus}}
evaluation: {controls: false}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    (folder / "x.yaml").write_text(EXPERIMENT)
    with pytest.raises(SystemExit) as end:
        main(["run", str(folder / "x.yaml"), "--out", str(folder / "run")])
    assert end.value.code == 0
    return folder / "run"


def exported(run: Path, kind: str, to: Path) -> list[dict[str, Any]]:
    with pytest.raises(SystemExit) as end:
        main(["export", str(run), "--kind", kind, "--to", str(to)])
    assert end.value.code == 0
    return pq.read_table(to).to_pylist()


def test_preferences_of_all_cycles_say_what_was_asked_and_which_reply_was_better(
    run: Path, tmp_path: Path
) -> None:
    rows = exported(run, "preferences", tmp_path / "p.parquet")

    assert {row["cycle"] for row in rows} == {0, 1}
    turns = {
        (row["episode"], row["turn"]): row
        for cycle in (0, 1)
        for row in pq.read_table(run / f"cycle-00{cycle}" / "turns.parquet").to_pylist()
    }
    for row in rows:
        chosen = turns[row["episode"], row["chosen_turn"]]
        rejected = turns[row["episode"], row["rejected_turn"]]
        assert row["prompt"] == chosen["prompt"]
        assert [m["role"] for m in row["prompt"]] == ["system", "user"]
        assert row["chosen"] == [{"role": "assistant", "content": chosen["text"]}]
        assert row["rejected"] == [{"role": "assistant", "content": rejected["text"]}]
        assert row["chosen_agent"] == chosen["agent"] != row["rejected_agent"]
        assert 0.5 < row["probability"] <= 1
        assert {turns[row["episode"], turn]["role"] for turn in row["judges"]} == {"judge"}
        if chosen["correct"] != rejected["correct"]:
            # A judge of competence .9 says .9 in either order, and so does their mean.
            assert row["probability"] == pytest.approx(0.9)
            assert chosen["correct"]


def test_references_are_demonstrations_of_the_question(run: Path, tmp_path: Path) -> None:
    rows = exported(run, "references", tmp_path / "r.parquet")

    assert len(rows) == 20
    assert rows[0]["prompt"][0]["content"].startswith("Question ")
    assert rows[0]["completion"][0]["content"].startswith("answer: ")


def test_a_reference_that_was_cut_is_learnt_as_cut(run: Path, tmp_path: Path) -> None:
    there = shutil.copytree(run, tmp_path / "run")
    turns = [turn(0, "4 or"), turn(1, "4")]
    turns[0] = replace(turns[0], completion=replace(turns[0].completion, finish="length"))
    episodes = [
        replace(episode(turns, f"e{i}"), outcome=Outcome(reference=reference, source=source))
        for i, (reference, source) in enumerate([("4 or", 0), ("4", 1), ("4", 0), ("4", None)])
    ]
    write_episodes(there / "cycle-001", 1, episodes)

    exported(there, "references", tmp_path / "r.parquet")

    found = [one.said for one in read(tmp_path / "r.parquet")][-4:]
    assert [(one.text, one.finish) for one in found] == [
        ("4 or", "length"),
        ("4", "stop"),
        ("4", "stop"),  # the turn's words are others
        ("4", "stop"),
    ]


def test_rollouts_say_who_learns_from_them_as_far_as_that_is_known(
    run: Path, tmp_path: Path
) -> None:
    there = shutil.copytree(run, tmp_path / "run")
    taught = [(name, [rollout(0, 1.0, (5,), weights="a")]) for name in ("a", "b")]
    for cycle in (0, 1):
        write_examples(there / f"cycle-00{cycle}", cycle, taught)
    #  An earlier moot had no such column.
    before = there / "cycle-000/examples.parquet"
    pq.write_table(pq.read_table(before).drop_columns(["learner"]), before)

    rows = exported(there, "rollouts", tmp_path / "rollouts.parquet")

    learners = [(row["cycle"], row["learner"]) for row in rows]
    assert learners == [(0, None), (0, None), (1, "a"), (1, "b")]
    assert [row["completion_ids"] for row in rows] == [[5]] * 4
    assert pq.read_schema(tmp_path / "rollouts.parquet").names == ROLLOUTS.names


def test_what_another_method_learnt_from_is_no_rollout(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there = shutil.copytree(run, tmp_path / "run")
    for cycle in (0, 1):
        taught = pair("e", words("yes"), words("no"))
        write_examples(there / f"cycle-00{cycle}", cycle, [("a", [taught])])

    assert moot("export", there, "--kind", "rollouts", "--to", tmp_path / "x.parquet") == 1

    assert "talk yielded no rollouts" in capsys.readouterr().err


def test_what_there_is_none_of_is_an_error_and_writes_nothing(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, why in (
        (["--kind", "rollouts", "--to", str(tmp_path / "x.parquet")], "talk yielded no rollouts"),
        (["--kind", "opinions", "--to", str(tmp_path / "x")], "--kind: expected preferences,"),
        (["--kind", "rollouts", "--to", str(tmp_path / "no" / "x")], "there is no folder"),
    ):
        with pytest.raises(SystemExit) as end:
            main(["export", str(run), *arguments])
        assert end.value.code in {1, 2}
        assert why in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_no_file_of_a_run_is_written_over_nor_one_that_is_called_otherwise(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "experiment.yaml"
    own.write_text(EXPERIMENT)
    kept = sorted(run.rglob("*.*"))
    before = [path.read_bytes() for path in kept if path.is_file()]
    ours = f"is a file of the run in {run}; name another"
    for command, to, why in (
        ("export --kind preferences", run / "journal.sqlite", "that ends in .parquet"),
        ("export --kind preferences", run / "metrics.parquet", ours),
        ("export --kind preferences", run / "cycle-000/turns.parquet", ours),
        ("export --kind preferences", own, "that ends in .parquet"),
        ("export --kind preferences", tmp_path / "p.csv", "that ends in .parquet"),
        ("export --kind preferences", tmp_path, "is a directory; name a file in it"),
        ("export --kind spans", run / "journal.sqlite", "that ends in .json or .jsonl"),
        ("graph", own, "that ends in .graphml"),
        ("graph --format gexf", tmp_path / "g.graphml", "that ends in .gexf"),
        ("graph --format parquet", run / "usage.parquet", ours),
    ):
        name, *options = command.split()
        assert moot(name, run, *options, "--to", to) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"--to {to}: ")
        assert told.endswith(f"{why}\n")
    assert sorted(run.rglob("*.*")) == kept
    assert [path.read_bytes() for path in kept if path.is_file()] == before
    assert own.read_text() == EXPERIMENT


def test_an_earlier_export_is_written_over_and_so_is_a_runs_graph(
    run: Path, tmp_path: Path
) -> None:
    there = shutil.copytree(run, tmp_path / "run")
    for _ in range(2):
        assert moot("export", there, "--kind", "spans", "--to", tmp_path / "s.jsonl") == 0
        assert moot("graph", there, "--format", "parquet") == 0


def test_weights_mean_nothing_but_for_a_model(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "p.parquet"

    assert moot("export", run, "--kind", "preferences", "--weights", "solver", "--to", to) == 2

    assert "--weights solver: goes with --kind model" in capsys.readouterr().err
    assert not to.exists()


def test_the_command_names_every_kind() -> None:
    assert tuple(KINDS) == TAUGHT
