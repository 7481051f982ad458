"""Code of the user's own in a run's directory: what is kept of it, and when it counts."""

from pathlib import Path

import pytest
from command import moot
from own_code import LAPS, RELAY, changed, refusal, talk

from moot.agents.errors import InputError
from moot.experiments.files.directory import claim
from moot.experiments.run import run
from moot.experiments.yaml.loading import load


def test_options_of_any_kind_that_json_has_are_taken(tmp_path: Path) -> None:
    folder = talk(tmp_path)
    (folder / "relay.py").write_text(
        changed(
            "class Relay", "from enum import Enum\n\nclass Way(Enum):\n  A = 'a'\n\nclass Relay"
        ).replace(
            LAPS,
            f"{LAPS}    way: Way = Way.A\n    names: list[str] = ['a']\n"
            "    some: frozenset[str] = frozenset({'a'})\n    odds: dict[int, float] = {1: 1.0}\n"
            "    talk: bool = True\n    verifier: str = 'math.py:Foo'\n"
            "    weigh: str = 'self_reward'\n    kinds: dict[str, str] = {'kind': '/none.py:X'}\n",
        )
    )
    sets = ["protocol.names=[b, c]", "protocol.odds={3: 0.5}", "protocol.way=a"]

    run(*load(folder / "x.yaml", sets), folder / "out")
    run(*load(folder / "x.yaml", [*sets, "cycles=2"]), folder / "out")

    text = (folder / "out" / "experiment.yaml").read_text()
    assert "verifier: math.py:Foo" in text
    assert "kind: /none.py:X" in text
    assert refusal(folder, "protocol.laps='3'") == (
        "--set protocol.laps: expected a whole number, got '3'"
    )


def test_a_kept_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    folder = talk(tmp_path)
    out = folder / "out"
    run(*load(folder / "x.yaml"), out)
    (kept,) = (out / "own").iterdir()
    kept.write_text(RELAY + "\n")

    for file in (folder / "x.yaml", out / "experiment.yaml"):
        with pytest.raises(InputError, match=rf"{kept}: was changed, and is what this run"):
            run(*load(file), out)
    assert moot("run", "--from", out, "--out", folder / "replay") == 2
    assert moot("report", out) == 0


def test_code_that_can_t_be_read_from_a_run_s_directory_leaves_it_free(tmp_path: Path) -> None:
    folder = talk(tmp_path)
    (folder / "words.txt").write_text("Pass it on: {question} {answer}")
    words = '(__import__("pathlib").Path(__file__).parent / "words.txt").read_text()'
    (folder / "relay.py").write_text(f"WORDS = {words}\n{RELAY.replace(chr(34) * 3, chr(39) * 3)}")

    with pytest.raises(
        InputError, match=r"your code can't be read from there: protocol.*words\.txt"
    ):
        run(*load(folder / "x.yaml"), folder / "out")
    (folder / "relay.py").write_text(RELAY)
    run(*load(folder / "x.yaml"), folder / "out")


def test_a_run_keeps_its_code_and_is_read_with_it(tmp_path: Path) -> None:
    folder = talk(tmp_path)
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


def test_a_run_goes_on_with_the_same_code_wherever_it_lies(tmp_path: Path) -> None:
    folder = talk(tmp_path)
    run(*load(folder / "x.yaml"), folder / "out")
    (folder / "code").mkdir()
    (folder / "relay.py").rename(folder / "code" / "relay.py")

    elsewhere = ["protocol.kind=code/relay.py:Relay"]
    run(*load(folder / "x.yaml", elsewhere), folder / "out")
    (folder / "code" / "relay.py").write_text(RELAY + "\n")
    with pytest.raises(InputError, match=r"Differing: protocol\.kind \(own/relay-\w+\.py:Relay"):
        run(*load(folder / "x.yaml", elsewhere), folder / "out")


def test_a_run_is_not_touched_by_what_becomes_of_the_file(tmp_path: Path) -> None:
    folder = talk(tmp_path)
    experiment, split = load(folder / "x.yaml")

    with claim(experiment, split, folder / "out") as kept:
        (folder / "relay.py").unlink()

    assert kept.protocol.model_dump() == experiment.protocol.model_dump()
    (file,) = (folder / "out" / "own").iterdir()
    assert kept.model_dump()["protocol"] == {"kind": f"{file}:Relay", "laps": 2}


def test_changed_code_is_read_anew(tmp_path: Path) -> None:
    folder = talk(tmp_path)
    before, _ = load(folder / "x.yaml")
    (folder / "relay.py").write_text(
        RELAY.replace("laps: int = 1", "laps: int = 1\n    more: int = 7")
    )
    after, _ = load(folder / "x.yaml")

    assert "more" not in before.protocol.model_dump()
    assert after.protocol.model_dump()["more"] == 7
