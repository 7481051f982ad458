"""Code of the user's own: protocols, judgings, tasks, verifiers and methods in files."""

import json
from pathlib import Path
from typing import Any

import pytest
from command import moot, rows
from method_runs import EXPERIMENT
from own_code import TESTS, WORD, page, refusal, talk
from wrong import GOOD, TASKS

from moot.experiments.experiment import Experiment
from moot.experiments.run import run
from moot.experiments.yaml.loading import load
from moot.protocols.conformance import check
from moot.protocols.judged import Judged
from moot.protocols.rubric import Rubric


def test_a_file_beside_the_experiment_has_its_protocol(tmp_path: Path) -> None:
    folder = talk(tmp_path)
    assert moot("run", folder / "x.yaml", "--out", folder / "out") == 0

    turns = rows(folder / "out" / "cycle-000" / "turns.parquet")
    assert [row["heard"] for row in turns] == [[], [0], [1], [2], [3], [4]]
    (episode,) = rows(folder / "out" / "cycle-000" / "episodes.parquet")
    assert episode["protocol"] == "relay"


def test_its_options_have_defaults_and_are_checked_as_ours_are(tmp_path: Path) -> None:
    folder = talk(tmp_path)
    experiment, _ = load(folder / "x.yaml", ["protocol={kind: relay.py:Relay}"])

    assert experiment.protocol.model_dump() == {"kind": "relay", "laps": 1}
    assert refusal(folder, "protocol.lap=3") == (
        "--set protocol.lap: unknown key; did you mean 'laps'?"
    )
    assert refusal(folder, "protocol={kind: judged, talk: {kind: relay.py:Relay, lap: 3}}") == (
        "--set protocol.talk.lap: unknown key; did you mean 'laps'?"
    )
    assert refusal(folder, "protocol.laps=many") == (
        "--set protocol.laps: expected a whole number, got 'many'"
    )


def test_what_was_said_in_it_may_be_judged(tmp_path: Path) -> None:
    folder = talk(tmp_path)
    (folder / "x.yaml").write_text(
        GOOD.replace("count: 3}", "count: 3}\n  - {name: judge, role: judge}").replace(
            "{kind: consensus}", "{kind: judged, talk: {kind: relay.py:Relay}}"
        )
    )
    experiment, split = load(folder / "x.yaml")

    run(experiment, split, folder / "out")

    assert isinstance(experiment.protocol, Judged)
    assert len(rows(folder / "out" / "cycle-000" / "verdicts.parquet")) > 0
    assert not isinstance(experiment.protocol.talk, Rubric)


def test_a_file_beside_the_experiment_has_its_method(tmp_path: Path, tiny: Path) -> None:
    """Also for other processes that learn by it, and in a sum."""
    brief, cost = page("class Brief"), "turn.completion.tokens_out"
    assert cost in brief
    # The tiny model never ends a reply by itself: other characters are what tells them apart.
    (tmp_path / "brief.py").write_text(brief.replace(cost, "len({*turn.text})"))
    text = EXPERIMENT.format(
        model=tiny,
        judge="",
        protocol="{kind: sample, samples: 2}",
        method="{kind: brief.py:Brief, per: 1, objective: rloo}",
        items=", ".join(f"{{prompt: question {i}, answer: a}}" for i in range(8)),
    )
    (tmp_path / "x.yaml").write_text(text.replace("max_tokens: 2", "max_tokens: 6"))
    named = brief.replace(cost, "len({*turn.text})").replace(
        "    per:", "    talk: str = ''\n    per:"
    )
    (tmp_path / "named.py").write_text(named)  # an option of one's own may have a name of ours
    summed = "method={kind: sum, of: [{kind: brief.py:Brief, per: 3}, {kind: rent}]}"

    run(*load(tmp_path / "x.yaml"), tmp_path / "one")
    run(*load(tmp_path / "x.yaml", ["fit.processes=2"]), tmp_path / "two")
    run(*load(tmp_path / "x.yaml", [summed]), tmp_path / "sum")
    run(*load(tmp_path / "x.yaml", ["method.kind=named.py:Brief"]), tmp_path / "named")

    one, two, both = (
        rows(tmp_path / name / "cycle-000" / "examples.parquet") for name in ("one", "two", "sum")
    )
    assert len({row["reward"] for row in one}) > 1
    assert {row["reward"] for row in one} <= {-float(n) for n in range(1, 7)}
    assert [row["reward"] for row in one] == [row["reward"] for row in two]
    assert len(both) == len(one)
    assert moot("export", tmp_path / "one", "--kind", "model", "--to", tmp_path / "model") == 0
    (file,) = (tmp_path / "model" / "own").iterdir()
    assert f"own/{file.name}:Brief" in (tmp_path / "model" / "README.md").read_text()
    for name in ("one", "two", "sum", "named"):
        assert (tmp_path / name / "cycle-000" / "weights" / "pupil").is_dir()


def test_a_file_beside_the_experiment_has_its_tasks(tmp_path: Path) -> None:
    (tmp_path / "sums.py").write_text(page("class Sums"))
    (tmp_path / "x.yaml").write_text(
        GOOD.replace(TASKS, "tasks: {kind: sums.py:Sums, digits: 1}\n")
    )

    _, split = load(tmp_path / "x.yaml", ["seed=3"])

    assert len(split.held_out) == 16
    for one in (*split.train, *split.held_out):
        a, b = map(int, one.prompt.removeprefix("What is ").removesuffix("?").split(" + "))
        assert one.answer == str(a + b)
    assert load(tmp_path / "x.yaml", ["seed=3"])[1] == split
    assert "are too few for held_out: 16 and per_cycle: 90" in refusal(
        tmp_path, "tasks.per_cycle=90"
    )
    run(*load(tmp_path / "x.yaml"), tmp_path / "out")
    assert len(rows(tmp_path / "out" / "cycle-000" / "episodes.parquet")) == 16


def test_an_editor_takes_a_class_of_one_s_own_too() -> None:
    from jsonschema import Draft202012Validator

    schema = Draft202012Validator(Experiment.model_json_schema())

    def wrong(protocol: dict[str, Any], verifier: str) -> int:
        tasks: Any = {"kind": "file", "path": "x.jsonl", "verifier": verifier}
        rest: Any = {
            "name": "x",
            "engines": {"a": {"kind": "simulated"}},
            "population": [{"name": "p"}],
        }
        return len([*schema.iter_errors({**rest, "tasks": tasks, "protocol": protocol})])

    mine = {"kind": "relay.py:Relay", "laps": 2}
    assert wrong(mine, "word.py:Word") == wrong({"kind": "consensus"}, "math") == 0
    assert wrong({"kind": "judged", "talk": mine}, "math") == 0
    assert wrong({"kind": "relay"}, "math") == wrong(mine, "maths") == 1


def test_a_file_beside_the_experiment_says_how_judges_judge(tmp_path: Path) -> None:
    (tmp_path / "yes_no.py").write_text(page("class YesNo"))
    judges = "count: 3}\n  - {name: judge, role: judge, count: 2}"
    judging = "{kind: judged, judging: {kind: yes_no.py:YesNo, ask: Is it short?}}"
    (tmp_path / "x.yaml").write_text(
        GOOD.replace("count: 3}", judges)
        .replace("{kind: consensus}", judging)
        .replace('["1", "2"]', '["1", "yes", "no"]')
    )
    experiment, split = load(tmp_path / "x.yaml")
    assert isinstance(experiment.protocol, Judged)
    check(experiment.protocol)

    run(experiment, split, tmp_path / "out")

    turns = rows(tmp_path / "out" / "cycle-000" / "turns.parquet")
    for row in turns[3:]:
        assert "Is it short? Reply with yes or no only." in row["prompt"][-1]["content"]
    said = {turn["turn"]: turn["text"] for turn in turns}
    grade = {"yes": 1.0, "no": 0.0}
    for row in rows(tmp_path / "out" / "cycle-000" / "verdicts.parquet"):
        if row["by"] is not None:
            assert row["score"] == grade.get(said[row["by"]])


@pytest.mark.parametrize(
    ("file", "code", "answers", "right"),
    [
        ("word.py:Word", WORD, ["a cat", "a dog"], "cat"),
        ("tests.py:Tests", TESTS, ["def f(): return 1", "def f(): return 2"], "assert f() == 1"),
    ],
)
def test_a_file_beside_the_experiment_has_its_verifier(
    tmp_path: Path, file: str, code: str, answers: list[str], right: str
) -> None:
    (tmp_path / file.partition(":")[0]).write_text(code)
    text = GOOD.replace('lines: ["1", "2"]', f"lines: {json.dumps(answers)}")
    text = (
        text.replace("verifier: number", f"verifier: {file}")
        .replace("answer: 2", f"answer: {json.dumps(right)}")
        .replace("answer: 3", f"answer: {json.dumps(right)}")
    )
    (tmp_path / "x.yaml").write_text(text)

    run(*load(tmp_path / "x.yaml"), tmp_path / "out")

    turns = rows(tmp_path / "out" / "cycle-000" / "turns.parquet")
    assert {row["correct"] for row in turns} == {True, False}
    assert f"verifier: own/{file[:4]}" in (tmp_path / "out" / "experiment.yaml").read_text()
