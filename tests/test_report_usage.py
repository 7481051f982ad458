"""The report: what a run spent."""

from pathlib import Path

import pytest
from handmade import finished
from page import shown, table

from moot.experiments.files.store import write_usage
from moot.protocols.ledger import Spent, Usage


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return finished(tmp_path)


def spent(phase: str, agent: str, group: str, spent: Spent) -> Usage:
    return Usage(phase, "debate", agent, group, "policy", "main", spent)


def test_what_was_spent_stands_by_agent_and_by_phase_as_they_were_played(run: Path) -> None:
    assert "No phase has ended yet." in shown(run).text
    usage = [
        spent("baseline", "solver-0", "solver", Spent(1, 10, 0, 5, 2.0)),
        spent("controls-vote", "solver-0", "solver", Spent(1, 10, 0, 5, 2.0)),
        spent("cycle-000", "solver-0", "solver", Spent(10, 1000, 710, 50, 2.0, 3, 1.25)),
        spent("cycle-000", "solver-1", "solver", Spent(10, 1000, 0, 50, 2.0)),
        spent("cycle-001", "solver-0", "solver", Spent(10, 1000, 0, 50, 2.0, 0, 2.25)),
        spent("held-out-000", "solver-0", "solver", Spent(4, 40, 0, 20, 2.0)),
        spent("held-out-001", "solver-0", "solver", Spent(4, 40, 0, 20, 2.0)),
    ]
    write_usage(run / "usage.parquet", usage)
    text = shown(run).text

    assert table(run, "The talk, by agent") == [
        ["solver-0", "policy", "20", "2 000", "36%", "100", "", "4.0", "0.20", "3", "3.50"],
        ["solver-1", "policy", "10", "1 000", "–", "50", "", "2.0", "0.20", "0", "–"],
    ]
    phases = table(run, "By phase")
    assert phases[1][:4] == ["cycle-000", "debate", "20", "2 000"]
    assert [row[0] for row in phases] == [
        "held-out-000",
        "cycle-000",
        "held-out-001",
        "cycle-001",
        "controls-vote",
        "baseline",
    ]
    assert "In all it cost 3.50, at the prices that the experiment names" in text


def test_many_agents_are_accounted_for_by_group(run: Path) -> None:
    usage = [
        spent("cycle-000", f"{group}-{i}", group, Spent(1, 10, 0, 5, 0.5))
        for group in ("left", "right")
        for i in range(30)
    ]
    write_usage(run / "usage.parquet", usage)
    text = shown(run).text

    assert table(run, "The talk, by agent")[0] == (
        ["left", "policy", "30", "300", "–", "150", "", "15.0", "0.50", "0"]
    )
    assert "right-7" not in text
    assert "In all it cost" not in text
