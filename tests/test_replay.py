"""A run is played again from what another said: without a server, byte for byte, or otherwise."""

import json
import shutil
import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from aiohttp import web
from command import moot
from fake_endpoint import Fake, choice, refuses, reply, says, serving

from moot.agents.local import Local
from moot.experiments.recording import content

FAR = """\
name: far
seed: 2
cycles: 1
engines:
  main: {{kind: endpoint, url: "{url}", model: m, limits: {{patience_s: 0.1}}}}
population:
  - {{name: solver, count: 4}}
tasks:
  kind: inline
  verifier: number
  held_out: 2
  per_cycle: 3
  items: [{items}]
protocol: {{kind: debate, topology: {{kind: chain}}, rounds: 3}}
evaluation: {{samples: 1}}
"""
ITEMS = ", ".join(f"{{prompt: '{i} + 1?', answer: {i + 1}}}" for i in range(9))

LEARNS = """\
name: learns
seed: 5
cycles: 2
engines:
  main: {{kind: local, model: {model}, device: cpu, batch: 1}}
population:
  - {{name: pupil, count: 3, learns: true, sampling: {{max_tokens: 3}}}}
tasks:
  kind: inline
  verifier: exact
  held_out: 2
  per_cycle: 2
  items: [{items}]
protocol: {{kind: debate, topology: {{kind: chain}}, prompt: "{{others}}?"}}
method: {{kind: ttrl, objective: {{kl: 0.1}}}}
fit: {{lr: 1e-2, device: cpu, lora: {{rank: 4}}}}
evaluation: {{samples: 1, baseline_votes: 2, controls: false}}
"""


async def chance(request: web.Request) -> web.StreamResponse:
    """Answer with a number that the request decides, and hardly two alike."""
    number = int.from_bytes(sha256(await request.read()).digest()[:4])
    said = choice(message={"role": "assistant", "content": f"It is {number}"})
    return await says(reply(choices=[said]))(request)


def talkative(after: int = 0) -> Fake:
    """A server that says numbers; after so many of them, nothing any more."""
    return Fake([chance] * (after or 10_000) + [refuses(500)] * (10_000 if after else 0))


def write(folder: Path, fake: Fake) -> Path:
    path = folder / "x.yaml"
    path.write_text(FAR.format(url=fake.url, items=ITEMS))
    return path


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run whose server is gone."""
    folder, fake = tmp_path_factory.mktemp("far"), talkative()
    with serving(fake):
        assert moot("run", write(folder, fake), "--out", folder / "out") == 0
    return folder / "out"


@pytest.fixture(scope="module")
def learnt(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run whose speakers learnt."""
    folder = tmp_path_factory.mktemp("learnt")
    items = ", ".join(f"{{prompt: question {i}, answer: a}}" for i in range(8))
    (folder / "x.yaml").write_text(LEARNS.format(model=tiny, items=items))
    assert moot("run", folder / "x.yaml", "--out", folder / "out") == 0
    return folder / "out"


def contents(out: Path, *kinds: str) -> dict[str, bytes]:
    """Return the files of a directory, by name."""
    paths = [path for kind in kinds or ("*",) for path in sorted(out.rglob(kind))]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths if path.is_file()}


def rows(out: Path, name: str = "turns.parquet") -> list[dict[str, Any]]:
    """Return the rows of all tables of this name, times apart."""
    found = [pq.read_table(path).to_pylist() for path in sorted(out.rglob(name))]
    return [{**row, "latency_s": 0, "ended_s": 0} for table in found for row in table]


def said(out: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(out / "journal.sqlite")) as db:
        return db.execute("select * from said order by episode, turn, request").fetchall()


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


def test_what_was_refused_stays_refused_without_a_server(tmp_path: Path) -> None:
    fake = talkative()
    fake.moods[4:4] = [refuses(400, "maximum context length is 9 tokens")] * 2
    with serving(fake):
        may = ("--set", "stage.max_failed_episodes=2")
        assert moot("run", write(tmp_path, fake), *may, "--out", tmp_path / "out") == 0

    assert moot("run", "--from", tmp_path / "out", "--out", tmp_path / "again") == 0

    failed = [m for m in rows(tmp_path / "out", "metrics.parquet") if "failed" in m["name"]]
    assert sum(m["value"] for m in failed) == 2
    assert contents(tmp_path / "again", "*.parquet") == contents(tmp_path / "out", "*.parquet")


def test_a_replay_can_be_replayed(far: Path, tmp_path: Path) -> None:
    assert moot("run", "--from", far, "--out", tmp_path / "one") == 0
    assert moot("run", "--from", tmp_path / "one", "--out", tmp_path / "two") == 0

    assert contents(tmp_path / "two", "*.parquet") == contents(far, "*.parquet")


def test_what_was_learnt_is_learnt_again_and_no_engine_is_opened(
    learnt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(self: Local, logs: Path) -> None:
        raise AssertionError

    monkeypatch.setattr(Local, "open", refuses)

    assert moot("run", "--from", learnt, "--out", tmp_path / "again") == 0

    assert contents(tmp_path / "again", "*.parquet", "*.safetensors") == contents(
        learnt, "*.parquet", "*.safetensors"
    )
    swaps = [m for m in rows(learnt, "metrics.parquet") if m["name"].startswith("swap/")]
    assert {m["name"] for m in swaps} == {"swap/canary_change", "swap/trainer_gap"}


def test_weights_are_known_again_in_whatever_order_their_layers_are_filed(
    learnt: Path, tmp_path: Path
) -> None:
    """PEFT keeps an adapter's layers in a set, whose order is another in every process."""
    there, here = learnt / "cycle-000" / "weights" / "pupil", tmp_path / "pupil"
    shutil.copytree(there, here)
    config = json.loads((here / "adapter_config.json").read_text())
    layers = config["target_modules"]
    assert len(layers) > 3
    assert layers == sorted(layers)

    (here / "adapter_config.json").write_text(json.dumps(config | {"target_modules": layers[::-1]}))
    assert content(here) == content(there)

    (here / "adapter_config.json").write_text(json.dumps(config | {"r": 9}))
    assert content(here) != content(there)


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


@pytest.mark.parametrize("cycle", [0, 1])
def test_what_is_learnt_in_a_replay_speaks_in_it(
    learnt: Path, tmp_path: Path, cycle: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """It comes to what it would come to if nothing had been recorded, and all were asked anew."""
    episode = next(
        r["episode"] for r in rows(learnt) if r["episode"].startswith(f"cycle-00{cycle}")
    )
    bare = shutil.copytree(learnt, tmp_path / "bare")
    with closing(sqlite3.connect(bare / "journal.sqlite")) as db, db:
        db.execute("delete from said where episode != ? or turn != 0", (episode,))
    outs = tmp_path / "replayed", tmp_path / "anew"

    for of, out in zip((bare, learnt), reversed(outs), strict=True):
        assert moot("run", "--from", of, "--change", f"{episode}:0=xyz", "--out", out) == 0
    told = capsys.readouterr().out

    for name in ("turns.parquet", "episodes.parquet", "examples.parquet", "metrics.parquet"):
        assert rows(outs[0], name) == rows(outs[1], name)
    adapters = [contents(out, "adapter_model.safetensors") for out in (learnt, *outs)]
    assert adapters[1] == adapters[2]
    same = [adapters[0][name] == adapters[1][name] for name in sorted(adapters[0])]
    assert same == [n < cycle for n in range(2)]
    assert f"pupil, version {cycle + 1}, isn't what spoke in the recording" in told
    changed = [b for a, b in zip(rows(learnt), rows(outs[0]), strict=True) if a != b]
    assert {row["weights_version"] for row in changed} >= {cycle, cycle + 1} - {0}


def test_what_another_engine_said_does_not_speak_for_this_one(
    far: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(fake := talkative()):
        other = ("--set", f"engines.main.url={fake.url}", "--set", "engines.main.model=other")
        assert moot("run", "--from", far, *other, "--out", tmp_path / "out") == 0

    assert len(fake.asked) == len(rows(far))
    assert "engine main isn't as it was recorded: all is asked anew" in capsys.readouterr().out


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
        bad("--from", "FAR", "--change", "EPISODE:10=x", says="that episode has 10 turns, 0 to 9"),
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
