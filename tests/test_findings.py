"""Findings: what a run is said to have shown, and what of it can't be told."""

from pathlib import Path

from handmade import RESOLVED, evaluation

from moot.experiments.report.findings import findings
from moot.experiments.report.readings import read
from moot.experiments.store import write_metrics
from moot.protocols.journal import Metric


def said(run: Path, *metrics: Metric) -> str:
    """Return what is found of a run that was evaluated once, with `metrics` of its end."""
    (run / "experiment.yaml").write_text(RESOLVED)
    write_metrics(run / "metrics.parquet", [*evaluation(run, 2, 0.5), *metrics])
    return " ".join(findings(read(run)))


def test_what_the_protocol_gains_over_a_control_is_said_where_it_is_known(tmp_path: Path) -> None:
    ours, alone = Metric(2, "controls/protocol", 0.75), Metric(2, "controls/single", 0.5)
    vote, over = Metric(2, "controls/vote", 1.0), Metric(2, "controls/over_vote", -0.25, -0.5, 0)

    few = said(tmp_path, ours, alone, vote)
    assert "Beside it: a single answer 0.50, a vote 1.00. Fewer than 8 tasks are in both" in few
    more = said(tmp_path, ours, vote, over)
    assert "Beside it (and what it gains): a vote 1.00 (−0.25 [−0.50, +0.00])." in more
    assert "Fewer" not in more
