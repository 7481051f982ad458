"""Code of the user's own: protocols, methods and verifiers in files beside the experiment."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from command import moot, rows
from method_runs import EXPERIMENT
from wrong import GOOD, TASKS

from moot.agents.errors import InputError
from moot.experiments.experiment import Experiment
from moot.experiments.files.directory import claim
from moot.experiments.run import run
from moot.experiments.yaml.loading import load
from moot.protocols.conformance import check
from moot.protocols.judged import Judged
from moot.protocols.rubric import Rubric

DOCS = Path(__file__).parents[1] / "docs"
BLOCKS = [
    block
    for page in DOCS.glob("*.md")
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
]


def page(line: str) -> str:
    """The block of code in the docs that has a line."""
    return next(block for block in BLOCKS if line in block)


RELAY, WORD, TESTS = page("class Relay"), page("class Word"), page("class Tests")
TALK = GOOD.replace("{kind: consensus}", "{kind: relay.py:Relay, laps: 2}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an experiment of a protocol of one's own."""
    (tmp_path / "relay.py").write_text(RELAY)
    (tmp_path / "x.yaml").write_text(TALK)
    return tmp_path


def refusal(folder: Path, *sets: str) -> str:
    with pytest.raises(InputError) as error:
        load(folder / "x.yaml", sets)
    return str(error.value)


def test_a_file_beside_the_experiment_has_its_protocol(folder: Path) -> None:
    assert moot("run", folder / "x.yaml", "--out", folder / "out") == 0

    turns = rows(folder / "out" / "cycle-000" / "turns.parquet")
    assert [row["heard"] for row in turns] == [[], [0], [1], [2], [3], [4]]
    (episode,) = rows(folder / "out" / "cycle-000" / "episodes.parquet")
    assert episode["protocol"] == "relay"


def test_its_options_have_defaults_and_are_checked_as_ours_are(folder: Path) -> None:
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


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("", "{0}: no class 'Relay' is written there"),
        ("class Relai: ...", "{0}: no class 'Relay' is written there; did you mean 'Relai'?"),
        ("from pathlib import Path as Relay", "{0}: no class 'Relay' is written there"),
        ("x = 1\nclass Relay(", "{0}:2: SyntaxError: '(' was never closed"),
        ("\n1 / 0", "{0}:2: ZeroDivisionError: division by zero"),
        ("open('gone')", "{0}:1: FileNotFoundError: [Errno 2] No such file or directory: 'gone'"),
        ("import nowhere", "{0}:1: ModuleNotFoundError: No module named 'nowhere'"),
        ("raise SystemExit(0)", "{0}:1: SystemExit: 0"),
        (
            "class Relay: ...",
            "relay.py:Relay: is no protocol: it isn't derived from moot.agents.types.Settings",
        ),
        (
            "from moot.agents.types import Settings\nclass Relay(Settings):\n  kind: str = ''",
            "relay.py:Relay: is no protocol: it has no yields, __call__, calls",
        ),
    ],
)
def test_a_file_that_has_none_is_refused(folder: Path, code: str, wrong: str) -> None:
    (folder / "relay.py").write_text(code)

    said = wrong.format(folder / "relay.py")
    assert refusal(folder) == f"{folder / 'x.yaml'}:13:18 protocol.kind: {said}"


def changed(old: str, new: str) -> str:
    """The protocol, otherwise."""
    assert old in RELAY
    return RELAY.replace(old, new)


LAPS = '    laps: int = 1\n    """How often the answer goes down the row."""\n'


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        (changed(' = "relay"', ""), "kind: relay.py:Relay: give its `kind` a value: what it is"),
        (
            changed(LAPS, f"{LAPS}    odds: float = float('inf')\n"),
            " can't be read again as a run keeps it: 1 validation error for Relay odds Input",
        ),
        (
            changed("class Relay", "from pydantic import field_validator\n\nclass Relay").replace(
                LAPS,
                f"{LAPS}    @field_validator('laps')\n    def more(cls, n: int) -> int:\n"
                "        return n + 1\n",
            ),
            " is another when a run reads it again: Relay(kind='relay', laps=3) becomes "
            "Relay(kind='relay', laps=4)",
        ),
    ],
)
def test_options_that_a_run_can_t_keep_are_refused(folder: Path, code: str, wrong: str) -> None:
    (folder / "relay.py").write_text(code)

    assert f"protocol{':' if wrong[0] == ' ' else '.'}{wrong}" in refusal(folder)


def test_options_of_any_kind_that_json_has_are_taken(folder: Path) -> None:
    (folder / "relay.py").write_text(
        changed(
            "class Relay", "from enum import Enum\n\nclass Way(Enum):\n  A = 'a'\n\nclass Relay"
        ).replace(
            LAPS,
            f"{LAPS}    way: Way = Way.A\n    names: list[str] = ['a']\n"
            "    some: frozenset[str] = frozenset({'a'})\n    odds: dict[int, float] = {1: 1.0}\n"
            "    talk: bool = True\n    verifier: str = 'math.py:Foo'\n",
        )
    )
    sets = ["protocol.names=[b, c]", "protocol.odds={3: 0.5}", "protocol.way=a"]

    run(*load(folder / "x.yaml", sets), folder / "out")
    run(*load(folder / "x.yaml", [*sets, "cycles=2"]), folder / "out")

    text = (folder / "out" / "experiment.yaml").read_text()
    assert "verifier: math.py:Foo" in text
    assert refusal(folder, "protocol.laps='3'") == (
        "--set protocol.laps: expected a whole number, got '3'"
    )


@pytest.mark.parametrize("name", ["relay.py", "relay:Relay", "./relay", "relay.Relay"])
def test_how_a_class_is_named_is_said(folder: Path, name: str) -> None:
    assert refusal(folder, f"protocol.kind={name}") == (
        f"--set protocol.kind: expected FILE.py:CLASS, got '{name}'"
    )
    assert refusal(folder, f"tasks.verifier={name}") == (
        f"--set tasks.verifier: expected FILE.py:CLASS, got '{name}'"
    )


def test_an_experiment_file_may_be_a_link(folder: Path) -> None:
    (folder / "linked").mkdir()
    (folder / "linked" / "x.yaml").symlink_to(folder / "x.yaml")

    assert refusal(folder / "linked", "protocol.lap=2") == (
        "--set protocol.lap: unknown key; did you mean 'laps'?"
    )


def test_a_kept_file_that_was_changed_is_refused(folder: Path) -> None:
    out = folder / "out"
    run(*load(folder / "x.yaml"), out)
    (kept,) = (out / "own").iterdir()
    kept.write_text(RELAY + "\n")

    for file in (folder / "x.yaml", out / "experiment.yaml"):
        with pytest.raises(InputError, match=rf"{kept}: was changed, and is what this run"):
            run(*load(file), out)
    assert moot("run", "--from", out, "--out", folder / "replay") == 2
    assert moot("report", out) == 0


def test_code_that_can_t_be_read_from_a_run_s_directory_leaves_it_free(folder: Path) -> None:
    (folder / "words.txt").write_text("Pass it on: {question} {answer}")
    words = '(__import__("pathlib").Path(__file__).parent / "words.txt").read_text()'
    (folder / "relay.py").write_text(f"WORDS = {words}\n{RELAY.replace(chr(34) * 3, chr(39) * 3)}")

    with pytest.raises(
        InputError, match=r"your code can't be read from there: protocol.*words\.txt"
    ):
        run(*load(folder / "x.yaml"), folder / "out")
    (folder / "relay.py").write_text(RELAY)
    run(*load(folder / "x.yaml"), folder / "out")


def test_a_file_that_is_not_there_is_refused(folder: Path) -> None:
    (folder / "relay.py").unlink()

    assert refusal(folder).endswith(
        "protocol.kind: {}: No such file or directory".format(folder / "relay.py")
    )


def test_a_run_keeps_its_code_and_is_read_with_it(folder: Path) -> None:
    out = folder / "out"
    run(*load(folder / "x.yaml"), out)
    (kept,) = (out / "own").iterdir()

    assert kept.read_text() == RELAY
    assert f"kind: own/{kept.name}:Relay" in (out / "experiment.yaml").read_text()
    (folder / "relay.py").unlink()
    out.rename(folder / "moved")
    assert moot("report", folder / "moved") == 0
    assert moot("run", "--from", folder / "moved", "--out", folder / "replay") == 0
    assert [one.name for one in (folder / "replay" / "own").iterdir()] == [kept.name]
    assert moot("run", folder / "moved" / "experiment.yaml", "--out", folder / "again") == 0
    assert (folder / "again" / "own" / kept.name).read_text() == RELAY


def test_a_run_goes_on_with_the_same_code_wherever_it_lies(folder: Path) -> None:
    run(*load(folder / "x.yaml"), folder / "out")
    (folder / "code").mkdir()
    (folder / "relay.py").rename(folder / "code" / "relay.py")

    elsewhere = ["protocol.kind=code/relay.py:Relay"]
    run(*load(folder / "x.yaml", elsewhere), folder / "out")
    (folder / "code" / "relay.py").write_text(RELAY + "\n")
    with pytest.raises(InputError, match=r"Differing: protocol\.kind \(own/relay-\w+\.py:Relay"):
        run(*load(folder / "x.yaml", elsewhere), folder / "out")


def test_a_run_is_not_touched_by_what_becomes_of_the_file(folder: Path) -> None:
    experiment, split = load(folder / "x.yaml")

    with claim(experiment, split, folder / "out") as kept:
        (folder / "relay.py").unlink()

    assert kept.protocol.model_dump() == experiment.protocol.model_dump()
    (file,) = (folder / "out" / "own").iterdir()
    assert kept.model_dump()["protocol"] == {"kind": f"{file}:Relay", "laps": 2}


def test_changed_code_is_read_anew(folder: Path) -> None:
    before, _ = load(folder / "x.yaml")
    (folder / "relay.py").write_text(
        RELAY.replace("laps: int = 1", "laps: int = 1\n    more: int = 7")
    )
    after, _ = load(folder / "x.yaml")

    assert "more" not in before.protocol.model_dump()
    assert after.protocol.model_dump()["more"] == 7


def test_what_was_said_in_it_may_be_judged(folder: Path) -> None:
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
    summed = "method={kind: sum, of: [{kind: brief.py:Brief, per: 3}, {kind: rent}]}"

    run(*load(tmp_path / "x.yaml"), tmp_path / "one")
    run(*load(tmp_path / "x.yaml", ["fit.processes=2"]), tmp_path / "two")
    run(*load(tmp_path / "x.yaml", [summed]), tmp_path / "sum")

    one, two, both = (
        rows(tmp_path / name / "cycle-000" / "examples.parquet") for name in ("one", "two", "sum")
    )
    assert len({row["reward"] for row in one}) > 1
    assert {row["reward"] for row in one} <= {-float(n) for n in range(1, 7)}
    assert [row["reward"] for row in one] == [row["reward"] for row in two]
    assert len(both) == len(one)
    for name in ("one", "two", "sum"):
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


def test_a_sum_has_only_methods_that_reward_answers(folder: Path) -> None:
    said = refusal(folder, "method={kind: sum, of: [{kind: relay.py:Relay}, {kind: rent}]}")

    assert said == (
        "--set method.of.0.kind: relay.py:Relay: is no method that rewards answers: it isn't "
        "derived from moot.training.methods.reinforcement.Reinforcement"
    )


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
