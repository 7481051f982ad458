"""A replay that is interrupted says how to go on, and goes on with what was asked for last."""

import os
import shlex
import shutil
import signal
import threading
from pathlib import Path
from typing import Any, NoReturn

import pytest
from aiohttp import web
from command import moot
from fake_endpoint import hangs, serving
from replayed import played, rows, talkative


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run whose server is gone."""
    return played(tmp_path_factory.mktemp("far"))


# By SIGTERM: SIGINT is ignored where the tests run in the background of a script.


async def interrupts(request: web.Request) -> web.StreamResponse:
    """Press Ctrl-C where `moot` runs, and say nothing."""
    os.kill(os.getpid(), signal.SIGTERM)
    return await hangs(request)


def test_a_replay_that_was_interrupted_says_how_to_go_on_and_goes_on_so(
    far: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change = ("--change", f"{rows(far / 'cycle-000')[0]['episode']}:0=7")
    fake, out = talkative(), tmp_path / "out"
    fake.moods[1:1] = [interrupts]
    with serving(fake):
        replay = ("run", "--from", far, *change, "--set", f"engines.main.url={fake.url}")
        assert moot(*replay, "--out", out) == 143
        *_, again = capsys.readouterr().err.splitlines()
        told, _, command = again.partition(" To go on: ")
        assert told == "moot: interrupted; nothing is lost."
        assert command == shlex.join(["moot", "run", f"{out}/experiment.yaml", "--out", str(out)])

        assert moot(*shlex.split(command)[1:]) == 0
        assert moot(*replay, "--out", tmp_path / "whole") == 0

    assert rows(out) == rows(tmp_path / "whole")
    assert rows(out / "cycle-000")[0]["text"] == "7"


def test_a_replay_that_was_interrupted_before_it_had_the_words_begins_again(
    far: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last, out = rows(far / "cycle-000")[-1], tmp_path / "out"  # which nobody heard
    change = ("--change", f"{last['episode']}:{last['turn']}=it's 7")
    of = shutil.copytree(far, tmp_path / "far")
    weights = of / "cycle-000/weights/slow/model.safetensors"
    weights.parent.mkdir(parents=True)
    os.mkfifo(weights)  # whoever reads it waits

    def interrupt() -> None:
        with weights.open("wb") as file:
            file.write(bytes(2**20))  # more than a pipe holds: some of it is read
            os.kill(os.getpid(), signal.SIGTERM)

    (thread := threading.Thread(target=interrupt)).start()
    assert moot("run", "--from", of, *change, "--out", out) == 143
    thread.join()
    again = capsys.readouterr().err.splitlines()[-1].partition(" To go on: moot ")[2]
    shutil.rmtree(weights.parent)

    assert moot("run", out / "experiment.yaml", "--out", out) == 2
    assert "was to be a replay of" in capsys.readouterr().err
    assert moot(*shlex.split(again)) == 0

    texts = [row["text"] for row in rows(out)]
    was = [row["text"] for row in rows(far)]
    assert [one for one, other in zip(texts, was, strict=True) if one != other] == ["it's 7"]


def test_a_replay_that_never_began_is_the_one_that_was_asked_for_last(
    far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    def run(of: Path, text: str, within: str) -> None:
        change = ("--change", f"{last['episode']}:{last['turn']}={text}")
        with monkeypatch.context() as patch:
            patch.setattr(within, interrupt)
            assert moot("run", "--from", of, *change, "--out", out) == 130

    last, out = rows(far / "cycle-000")[-1], tmp_path / "out"  # which nobody heard
    also = shutil.copytree(far, tmp_path / "also")
    run(far, "6", "moot.experiments.cycle.replay.take")  # before there is a journal
    run(also, "7", "moot.experiments.run._run")  # it has the words
    described = (out / "experiment.yaml").read_text().split()  # long lines are wrapped
    assert str(also.resolve()) + ";" in described
    run(also, "8", "moot.experiments.cycle.replay.take")
    again = capsys.readouterr().err.splitlines()[-1].partition(" To go on: moot ")[2]

    assert moot(*shlex.split(again)) == 0

    assert rows(out / "cycle-000")[-1]["text"] == "8"
