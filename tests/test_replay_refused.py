"""Replays that make no sense are refused before they begin."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from command import moot
from replayed import contents, played, rows


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run whose server is gone."""
    return played(tmp_path_factory.mktemp("far"))


def bad(*arguments: str, says: str) -> Any:
    return pytest.param(arguments, says, id=says[:40])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        bad("--change", "a:0=b", says="--change: goes with --from DIR"),
        bad("--from", "DIR/nope", says="nope: holds no run (there is no experiment.yaml)"),
        bad("--from", "FAR", "--change", "EPISODE:0", says="expected EPISODE:TURN=TEXT, e.g."),
        bad("--from", "FAR", "--change", "EPISODE=x", says="expected EPISODE:TURN=TEXT, e.g."),
        bad("--from", "FAR", "--change", "EPISODEx:0=x", says="; did you mean 'EPISODE'?"),
        bad(
            "--from",
            "FAR",
            "--change",
            "EPISODE:10=x",
            says="turns 0 to 9 were said",
        ),
        bad("--from", "FAR", "--change", "EPISODE:1=x", "--change", "EPISODE:1=x", says="twice"),
        bad("--from", "FAR", "--change", "EPISODE:1=\udcff", says=":1=\\udcff': isn't UTF-8"),
        bad("--from", "FAR", "--out", "FAR", says="a replay needs another directory"),
        bad("--from", "FAR", "--out", "FAR/again", says="a replay needs another directory"),
        bad("--from", "FAR", "--set", "cycles=x", says="cycles: expected a whole number, got 'x'"),
        bad("--from", "DIR/broken", says="broken: its journal can't be read: "),
    ],
)
def test_a_replay_that_makes_no_sense_is_refused_before_it_begins(
    arguments: tuple[str, ...],
    says: str,
    far: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(far, tmp_path / "broken")
    (tmp_path / "broken" / "journal.sqlite").write_text("no database, though it is long" * 99)
    episode, before = rows(far / "cycle-000")[0]["episode"], contents(far)
    words = {"DIR": str(tmp_path), "FAR": str(far), "EPISODE": episode}

    def meant(text: str) -> str:
        for word, instead in words.items():
            text = instead if text == word else text.replace(f"{word}/", f"{instead}/")
        return text if "EPISODE:TURN" in text else text.replace("EPISODE", episode)

    assert moot("run", *map(meant, arguments)) == 2

    assert meant(says) in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken"]
    assert contents(far) == before


def test_a_run_of_its_own_does_not_become_a_replay(
    far: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(far, tmp_path / "out")

    assert moot("run", "--from", far, "--out", out) == 2

    assert "holds a run that is no replay; choose another --out" in capsys.readouterr().err


def test_a_replay_that_was_refused_at_its_start_goes_on_as_it_is_mended(
    far: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    episode = next(row["episode"] for row in rows(far) if row["episode"].startswith("held-out"))
    last = max(row["turn"] for row in rows(far) if row["episode"] == episode)
    out, also = tmp_path / "out", shutil.copytree(far, tmp_path / "also")
    unset = ("--set", "engines.main.key_env=MOOT_UNSET", "--set", "seed=7")
    replay, changed = ("--from", far), ("--change", f"{episode}:{last}=It is 5")

    assert moot("run", far / "experiment.yaml", *unset, "--out", out) == 1  # no replay so far
    assert moot("run", *replay, *changed, *unset, "--out", out) == 1
    assert moot("run", far / "experiment.yaml", "--out", out) == 2
    assert moot("run", "--from", also, "--out", out) == 0

    assert contents(out, "*.parquet") == contents(far, "*.parquet")
    words = (out / "experiment.yaml").read_text().split()  # long lines are wrapped
    assert str(also.resolve()) in words
