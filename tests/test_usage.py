"""Accounting of whole runs: what is written, printed and reported is what was spent."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from command import moot, rows
from fake_endpoint import Fake, refuses, reply, says, serving
from priced import write

from moot.experiments.files.columns import USAGE

CACHED = says(
    reply(
        usage={
            "prompt_tokens": 11,
            "completion_tokens": 1,
            "prompt_tokens_details": {"cached_tokens": 8},
        }
    )
)


def usage(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out / "usage.parquet").to_pylist()


def spoken(out: Path) -> Counter[tuple[str, str, str]]:
    """Return what the turns' files hold: (phase, agent, what is counted)."""
    found: Counter[tuple[str, str, str]] = Counter()
    for path in out.glob("*/turns.parquet"):
        for turn in pq.read_table(path).to_pylist():
            for name in ("tokens_in", "tokens_cached", "tokens_out"):
                found[path.parent.name, turn["agent"], name] += turn[name]
            found[path.parent.name, turn["agent"], "calls"] += 1
            found[path.parent.name, turn["agent"], "retries"] += turn["tries"] - 1
    return found


def test_a_run_writes_prints_and_reports_what_it_spent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Fake(moods=[refuses(503), *[CACHED] * 6])
    with serving(fake):
        assert moot("run", write(tmp_path, fake), "--out", tmp_path / "out") == 0

    said = capsys.readouterr().out
    rows = usage(tmp_path / "out")
    assert pq.read_schema(tmp_path / "out" / "usage.parquet").names == USAGE.names
    told = Counter(
        {
            (row["phase"], row["agent"], name): row[name]
            for row in rows
            for name in ("calls", "tokens_in", "tokens_cached", "tokens_out", "retries")
        }
    )
    assert +told == +spoken(tmp_path / "out")
    assert {(r["phase"], r["cycle"], r["protocol"]) for r in rows} == {
        ("held-out-000", 0, "consensus"),
        ("held-out-001", 1, "consensus"),
        ("cycle-000", 0, "synthesis"),
    }
    for row in rows:
        fresh, cached, out = row["tokens_in"] - row["tokens_cached"], row["tokens_cached"], row
        cost = (fresh * 100 + cached * 10 + out["tokens_out"] * 400) / 1e6
        assert row["cost"] == (None if row["engine"] == "free" else pytest.approx(cost))
    # Six calls of 11 tokens, of which 8 were cached: 18 at 100 and 48 at 10, and 6 at 400.
    assert "6 calls, 66 tokens in (73% cached), 6 out, 1 retry, 0.0047 cost" in said
    assert re.search(
        r"cycle 0: talk: \d+\.\d s, 12 calls, \d+ tokens in, 12 out, 0\.0\d+ cost", said
    )
    page = (tmp_path / "out" / "report.html").read_text()
    assert "What it cost" in page
    assert '<td class="n">73%</td>' in page
    assert f"In all it cost {sum(r['cost'] or 0 for r in rows):.2g}, at the prices" in page


def test_a_run_says_that_an_engine_was_asked_less_at_once_than_it_might(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Fake()
    fake.moods = [refuses(503)]
    with serving(fake):
        path = write(tmp_path, fake)
        path.write_text(path.read_text().replace("concurrency: 1,", "concurrency: 200,"))
        assert moot("run", path, "--out", tmp_path / "out") == 0
    few = r"engine main: asked (\d+) at once in the end \(limits.concurrency: 200\)"
    found = re.search(few, capsys.readouterr().out)
    assert found is not None
    assert 1 <= int(found[1]) < 100


def test_a_run_that_fails_writes_what_it_spent_and_the_next_one_goes_on_from_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = Fake()
    with serving(fake):
        path = write(tmp_path, fake, patience=0)
        fake.moods = [*[says(reply())] * 9, refuses(503)]
        assert moot("run", path, "--out", tmp_path / "out") == 1
        cut = {(row["phase"], row["agent"]): row["calls"] for row in usage(tmp_path / "out")}
        measured = {(row["name"], row["cycle"]) for row in rows(tmp_path / "out/metrics.parquet")}
        assert moot("run", path, "--out", tmp_path / "out") == 0

    assert ("held_out/accuracy", 0) in measured
    assert cut["held-out-000", "solver-0"] == cut["held-out-000", "solver-1"] == 3
    assert cut["cycle-000", "solver-0"] + cut.get(("cycle-000", "solver-1"), 0) == 3
    whole = spoken(tmp_path / "out")
    for row in usage(tmp_path / "out"):
        assert row["calls"] == whole[row["phase"], row["agent"], "calls"]
    assert "503" in capsys.readouterr().err


def test_a_price_may_change_when_a_run_goes_on_and_all_is_told_at_the_new_one(
    tmp_path: Path,
) -> None:
    fake = Fake()
    with serving(fake):
        path, out = write(tmp_path, fake), tmp_path / "out"
        assert moot("run", path, "--out", out) == 0
        before = usage(out)
        asked = len(fake.asked)
        path.write_text(path.read_text().replace("tokens_out: 400", "tokens_out: 0"))
        assert moot("run", path, "--out", out) == 0
        for sets in ("engines.main.price=null", "engines.free.price={tokens_in: 1, tokens_out: 1}"):
            assert moot("run", path, "--out", out, "--set", sets) == 0

    assert len(fake.asked) == asked
    after = usage(out)
    assert [row["calls"] for row in after] == [row["calls"] for row in before]
    for row in after:  # the last run set a price for what was free, and the file's for the other
        tokens_in, price = row["tokens_in"], 100 if row["engine"] == "main" else 1
        out_price = 0 if row["engine"] == "main" else 1
        cost = (tokens_in * price + row["tokens_out"] * out_price) / 1e6
        assert row["cost"] == pytest.approx(cost)


def test_a_control_that_is_played_again_for_more_answers_is_counted_once(tmp_path: Path) -> None:
    fake = Fake()
    with serving(fake):
        path, out = write(tmp_path, fake, controls="true"), tmp_path / "out"
        assert moot("run", path, "--out", out) == 0

    calls: Counter[str] = Counter()
    for row in usage(out):
        calls[row["engine"]] += row["calls"]
    assert any(row["phase"] == "controls-vote-1" for row in usage(out))
    for row in usage(out):  # its number of answers is no cycle
        assert (row["cycle"] is None) == row["phase"].startswith("controls-")
    assert calls["main"] == len(fake.asked)
