"""Code of the user's own that is wrong: what is said, and where."""

from pathlib import Path

import pytest
from own_code import LAPS, WORD, changed, refusal, talk
from wrong import GOOD


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
def test_a_file_that_has_none_is_refused(tmp_path: Path, code: str, wrong: str) -> None:
    folder = talk(tmp_path)
    (folder / "relay.py").write_text(code)

    said = wrong.format(folder / "relay.py")
    assert refusal(folder) == f"{folder / 'x.yaml'}:13:18 protocol.kind: {said}"


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
def test_options_that_a_run_can_t_keep_are_refused(tmp_path: Path, code: str, wrong: str) -> None:
    folder = talk(tmp_path)
    (folder / "relay.py").write_text(code)

    assert f"protocol{':' if wrong[0] == ' ' else '.'}{wrong}" in refusal(folder)


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("return 7", "TypeError: it read 7, which is neither a text nor None"),
        ("return 1 / 0", "ZeroDivisionError: division by zero ({0}:11)"),
    ],
)
def test_what_a_verifier_gets_wrong_is_said(tmp_path: Path, code: str, wrong: str) -> None:
    (tmp_path / "word.py").write_text(
        WORD.replace("        words = re", f"        {code}\n        words = re")
    )
    text = GOOD.replace("verifier: number", "verifier: word.py:Word").replace(
        "answer: 3", "answer: null"
    )
    (tmp_path / "x.yaml").write_text(text.replace("answer: 2", "answer: cat"))

    assert wrong.format(tmp_path / "word.py") in refusal(tmp_path)


@pytest.mark.parametrize("name", ["relay.py", "relay:Relay", "./relay", "relay.Relay"])
def test_how_a_class_is_named_is_said(tmp_path: Path, name: str) -> None:
    folder = talk(tmp_path)
    assert refusal(folder, f"protocol.kind={name}") == (
        f"--set protocol.kind: expected FILE.py:CLASS, got '{name}'"
    )
    assert refusal(folder, f"tasks.verifier={name}") == (
        f"--set tasks.verifier: expected FILE.py:CLASS, got '{name}'"
    )


@pytest.mark.parametrize(
    ("setting", "wrong"),
    [
        ("evaluation={kind: gone.py:Mine}", "evaluation.kind: unknown key; there are"),
        ("population.0.kind=gone.py:Mine", "population.0.kind: unknown key; there are"),
        (
            "method={kind: cat, objective: {kind: gone.py:Mine}}",
            "method.objective.kind: unknown key; did you mean 'kl_in'?",
        ),
    ],
)
def test_where_no_class_is_wanted_none_is_looked_for(
    tmp_path: Path, setting: str, wrong: str
) -> None:
    assert wrong in refusal(talk(tmp_path), setting)


def test_an_experiment_file_may_be_a_link(tmp_path: Path) -> None:
    folder = talk(tmp_path)
    (folder / "linked").mkdir()
    (folder / "linked" / "x.yaml").symlink_to(folder / "x.yaml")

    assert refusal(folder / "linked", "protocol.lap=2") == (
        "--set protocol.lap: unknown key; did you mean 'laps'?"
    )


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    folder = talk(tmp_path)
    (folder / "relay.py").unlink()

    assert refusal(folder).endswith(
        "protocol.kind: {}: No such file or directory".format(folder / "relay.py")
    )


def test_a_sum_has_only_methods_that_reward_answers(tmp_path: Path) -> None:
    folder = talk(tmp_path)
    said = refusal(folder, "method={kind: sum, of: [{kind: relay.py:Relay}, {kind: rent}]}")

    assert said == (
        "--set method.of.0.kind: relay.py:Relay: is no method that rewards answers: it isn't "
        "derived from moot.training.methods.reinforcement.Reinforcement"
    )
