"""A run is played again from what another said: without a server, byte for byte, or otherwise."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from command import moot
from fake_endpoint import refuses, serving
from replayed import contents, played, rows, said, talkative, write

from moot.experiments.cycle.recording import RECORDING, Recording
from moot.experiments.report.readings import read


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run whose server is gone."""
    return played(tmp_path_factory.mktemp("far"))


def listeners(out: Path, episode: str, turn: int) -> set[int]:
    """Return the turns that heard `turn`, directly or through others."""
    found = {turn}
    for row in rows(out):
        if row["episode"] == episode and found & set(row["heard"]):
            found.add(row["turn"])
    return found - {turn}


def test_a_run_is_replayed_without_its_server_byte_for_byte(
    far: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(far)

    assert moot("run", "--from", far, "--out", tmp_path / "again") == 0

    tables = contents(far, "*.parquet")
    assert len(tables) > 10
    assert contents(tmp_path / "again", "*.parquet") == tables
    assert said(tmp_path / "again") == said(far)
    assert contents(far) == before
    assert f"replay: {len(rows(far))} replies as they were recorded, 0 asked anew" in (
        capsys.readouterr().out
    )


def test_what_was_refused_stays_refused_and_is_not_asked_again(tmp_path: Path) -> None:
    fake = talkative()
    fake.moods[4:4] = [refuses(400, "maximum context length is 9 tokens")] * 2
    with serving(fake):
        may = ("--set", "stage.max_failed_episodes=2")
        assert moot("run", write(tmp_path, fake), *may, "--out", tmp_path / "out") == 0

    with serving(fresh := talkative()):  # it would answer now
        url = f"engines.main.url={fresh.url}"
        assert (
            moot("run", "--from", tmp_path / "out", "--set", url, "--out", tmp_path / "again") == 0
        )

    assert fresh.asked == []
    failed = [m for m in rows(tmp_path / "out", "metrics.parquet") if "failed" in m["name"]]
    assert sum(m["value"] for m in failed) == 2
    assert contents(tmp_path / "again", "*.parquet") == contents(tmp_path / "out", "*.parquet")


def test_a_replay_can_be_replayed(far: Path, tmp_path: Path) -> None:
    assert moot("run", "--from", far, "--out", tmp_path / "one") == 0
    assert moot("run", "--from", tmp_path / "one", "--out", tmp_path / "two") == 0

    assert contents(tmp_path / "two", "*.parquet") == contents(far, "*.parquet")


def test_only_who_heard_a_changed_turn_is_asked_anew(far: Path, tmp_path: Path) -> None:
    episode, turn = rows(far / "cycle-000")[0]["episode"], 1
    fake, out = talkative(), tmp_path / "changed"
    change = f"{episode}:{turn}=No, it is 99: a = b"
    with serving(fake):
        url = f"engines.main.url={fake.url}"
        assert moot("run", "--from", far, "--change", change, "--set", url, "--out", out) == 0

    heard = listeners(out, episode, turn)
    assert 0 < len(heard) < 9
    assert len(fake.asked) == len(heard)
    for was, now in zip(rows(far), rows(out), strict=True):
        if now["episode"] != episode or now["turn"] not in heard | {turn}:
            assert now == was
        elif now["turn"] == turn:
            assert (now["text"], now["answer"]) == ("No, it is 99: a = b", "99")
            assert (now["prompt"], now["tokens_in"], now["tokens_out"]) == (was["prompt"], 0, 0)
        else:
            assert now["prompt"] != was["prompt"]
    for file in ("experiment.yaml", "report.html"):
        assert f"changed: {episode}:{turn}" in (out / file).read_text()


def test_a_changed_turn_that_nobody_heard_needs_no_server(far: Path, tmp_path: Path) -> None:
    last = rows(far / "cycle-000")[-1]
    change = f"{last['episode']}:{last['turn']}="

    assert moot("run", "--from", far, "--change", change, "--out", tmp_path / "out") == 0

    texts = [row["text"] for row in rows(tmp_path / "out")]
    assert [a for a, b in zip(texts, (r["text"] for r in rows(far)), strict=True) if a != b] == [""]


def test_what_was_changed_stays_so_until_it_is_changed_again(far: Path, tmp_path: Path) -> None:
    last = {row["episode"]: row["turn"] for row in rows(far / "cycle-000")}  # nobody heard them
    (one, turn), (other, _), *_ = last.items()
    of = far
    for name, changes in (("a", {one: 1, other: 2}), ("b", {other: 3})):
        more = [word for e, text in changes.items() for word in ("--change", f"{e}:{turn}={text}")]
        assert moot("run", "--from", of, *more, "--out", tmp_path / name) == 0
        of = tmp_path / name

    texts = {(row["episode"], row["turn"]): row["text"] for row in rows(of)}
    assert (texts[one, turn], texts[other, turn]) == ("1", "3")
    with closing(Recording(of / RECORDING)) as recording:
        assert recording.own == {(other, turn): "3"}
    told = read(of).experiment["made_with"]["replay"]
    assert told.endswith(f"; changed: {one}:{turn}, {other}:{turn}")


def test_a_replay_of_a_run_that_was_cut_off_goes_on_from_what_is_there(tmp_path: Path) -> None:
    fake, whole = talkative(after=9), talkative()
    with serving(fake):
        experiment = write(tmp_path, fake)
        assert moot("run", experiment, "--out", tmp_path / "cut") == 1
    with serving(whole):
        url = ("--set", f"engines.main.url={whole.url}")
        assert moot("run", experiment, *url, "--out", tmp_path / "whole") == 0
        calls = len(whole.asked)
        for name in ("one", "two"):
            whole.asked.clear()
            assert moot("run", "--from", tmp_path / "cut", *url, "--out", tmp_path / name) == 0
            assert len(whole.asked) == calls - 9
            assert rows(tmp_path / name) == rows(tmp_path / "whole")


def test_what_stands_in_the_log_of_a_run_that_goes_on_or_was_killed_is_taken(
    far: Path, tmp_path: Path
) -> None:
    running, killed = shutil.copytree(far, tmp_path / "running"), tmp_path / "killed"
    kinds = ("*.sqlite", "*-wal", "*.parquet", "*.yaml")
    with closing(sqlite3.connect(running / "journal.sqlite", isolation_level=None)) as db:
        db.execute("pragma journal_mode=wal")
        last = rows(far / "cycle-000")[-1]  # which nobody heard
        db.execute(
            "update said set completion = replace(completion, 'It is', 'Perhaps') "
            "where episode = ? and turn = ?",
            (last["episode"], last["turn"]),
        )
        shutil.copytree(running, killed, ignore=shutil.ignore_patterns("*-shm"))
        for of in (running, killed):
            before = contents(of, *kinds)
            assert "journal.sqlite-wal" in before

            assert moot("run", "--from", of, "--out", tmp_path / f"of-{of.name}") == 0

            assert contents(of, *kinds) == before
            assert rows(tmp_path / f"of-{of.name}" / "cycle-000")[-1]["text"].startswith("Perhaps")


def test_a_replay_that_was_stopped_goes_on_with_its_changes(
    far: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    episode, out = rows(far / "cycle-000")[0]["episode"], tmp_path / "out"
    change = ("--change", f"{episode}:0=7")
    replay = ("run", far / "experiment.yaml", "--out", out, "--from")
    assert moot(*replay, far, *change) == 1  # its server is gone
    shutil.copytree(far, tmp_path / "other")
    capsys.readouterr()
    for wrong, why in (
        ((far, "--change", f"{episode}:0=8"), f"with other changes ({episode}:0)"),
        ((tmp_path / "other",), f"replays {far.resolve()}; choose another --out"),
    ):
        assert moot(*replay, *wrong) == 2
        assert why in capsys.readouterr().err

    fake = talkative()
    fake.port = int((out / "experiment.yaml").read_text().partition("127.0.0.1:")[2].split()[0])
    with serving(fake):
        assert moot("run", out / "experiment.yaml", "--out", out) == 0
        assert moot("run", "--from", far, *change, "--out", tmp_path / "whole") == 0

    assert rows(out) == rows(tmp_path / "whole")
    assert rows(out / "cycle-000")[0]["text"] == "7"


def test_what_another_engine_said_does_not_speak_for_this_one(
    far: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(fake := talkative()):
        other = ("--set", f"engines.main.url={fake.url}", "--set", "engines.main.model=other")
        assert moot("run", "--from", far, *other, "--out", tmp_path / "out") == 0

    assert len(fake.asked) == len(rows(far))
    assert "engine main isn't as it was recorded: all is asked anew" in capsys.readouterr().out


TWO = """\
name: two
engines: {one: {kind: scripted, lines: ["1"]}, two: {kind: scripted, lines: ["2"]}}
population: [{name: mover, engine: one}, {name: stayer, engine: one}, {name: other, engine: two}]
tasks: {kind: inline, verifier: number, held_out: 1, per_cycle: 2, items: [ITEMS]}
protocol: {kind: consensus}
evaluation: {samples: 1, controls: false}
"""


def test_who_speaks_through_another_engine_now_says_what_that_one_says(tmp_path: Path) -> None:
    items = ", ".join(f"{{prompt: {i} + 1?, answer: {i + 1}}}" for i in range(3))
    (tmp_path / "x.yaml").write_text(TWO.replace("ITEMS", items))
    assert moot("run", tmp_path / "x.yaml", "--out", tmp_path / "out") == 0

    other = ("--set", "population.0.engine=two", "--out", tmp_path / "new")
    assert moot("run", "--from", tmp_path / "out", *other) == 0

    before, after = (
        {(turn["agent"], turn["text"]) for turn in rows(tmp_path / name / "cycle-000")}
        for name in ("out", "new")
    )
    assert before == {("mover", "1"), ("stayer", "1"), ("other", "2")}
    assert after == {("mover", "2"), ("stayer", "1"), ("other", "2")}
