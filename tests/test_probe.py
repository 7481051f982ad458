"""Whether an endpoint lets us in is found out before anything is said in a run, and never again."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from command import journalled, moot
from fake_endpoint import Fake, Mood, half, hangs, refuses, reply, resets, says, serving
from priced import write

CALLS = 6 + 4 * 2 + 6
"""Two evaluations of three tasks for two, and four tasks for two."""


def called(out: Path) -> int:
    """Return how many calls to the endpoint are accounted for."""
    usage = pq.read_table(out / "usage.parquet").to_pylist()
    return sum(row["calls"] for row in usage if row["engine"] == "main")


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_isnt_taken_is_named_before_anything_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    monkeypatch.setenv("FAR_KEY", "sk-wrong")
    fake = Fake(greetings=[refuses(status, "no such key: sk-wrong")] * 2)
    with serving(fake):
        path, out = write(tmp_path, fake), tmp_path / "out"
        keyed = ("--set", "engines.main.key_env=FAR_KEY")
        assert moot("run", path, "--out", out, *keyed) == 1
        assert moot("run", path, "--out", out) == 1
        assert (fake.asked, journalled(out)) == ([], 0)
        assert moot("run", path, "--out", out) == 0

    start = f"moot: engines.main: {fake.url}/v1/chat/completions: HTTP {status}: no such key: "
    assert capsys.readouterr().err.splitlines() == [
        f"{start}[key] (the environment variable FAR_KEY holds the key; key_env names it)",
        f"{start}sk-wrong (no key was sent: key_env names the environment variable that holds one)",
    ]


def test_a_model_that_isnt_there_is_named_before_anything_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Fake(greetings=[refuses(404, "The model `m` does not exist")])
    with serving(fake):
        assert moot("run", write(tmp_path, fake), "--out", tmp_path / "out") == 1

    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("moot: engines.main: ")
    assert line.endswith("HTTP 404: The model `m` does not exist")
    assert not fake.asked


@pytest.mark.parametrize(
    "mood",
    [refuses(503), refuses(429), refuses(400, "too few tokens"), says(b"{"), half, resets, hangs],
    ids=["503", "429", "400", "malformed", "half a body", "reset", "hangs"],
)
def test_what_may_pass_is_left_to_the_run(tmp_path: Path, mood: Mood) -> None:
    fake = Fake(greetings=[mood])
    with serving(fake):
        path = write(tmp_path, fake)
        short = ("--set", "engines.main.limits.timeout_s=1")
        assert moot("run", path, "--out", tmp_path / "out", *short) == 0
    assert not fake.greetings


def test_it_is_asked_for_one_token_which_is_counted_nowhere(tmp_path: Path) -> None:
    fake = Fake()
    with serving(fake):
        assert moot("run", write(tmp_path, fake), "--out", tmp_path / "out") == 0

    assert [asked["max_tokens"] for asked in fake.greeted] == [1]
    assert len(fake.asked) == called(tmp_path / "out") == CALLS


def test_a_run_that_goes_on_is_finished_or_replays_doesnt_ask_again(tmp_path: Path) -> None:
    fake = Fake()
    with serving(fake):
        path, out = write(tmp_path, fake, patience=0), tmp_path / "out"
        fake.moods = [*[says(reply())] * 9, refuses(503)]
        assert moot("run", path, "--out", out) == 1
        for _ in range(2):
            assert moot("run", path, "--out", out) == 0
        other = ("--set", "engines.main.model=n")
        assert moot("run", path, "--from", out, "--out", tmp_path / "again", *other) == 0

    assert len(fake.greeted) == 1
    assert any(asked["model"] == "n" for asked in fake.asked)
