"""Benchmarks: what is worked out from their runs."""

import json
from importlib import import_module
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from moot.agents.task import Task
from moot.protocols.types import Episode, Outcome, Verdict
from moot.protocols.verifiers import VERIFIERS


@pytest.fixture(autouse=True)
def _beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")


def row(ours: list[float], theirs: list[float]) -> Any:
    return import_module("learning").row("learning", "sums", "accuracy", ours, "start", theirs)


def test_a_ratio_and_its_interval_are_of_logarithms() -> None:
    ours, theirs = [0.8, 0.8, 0.4], [0.02, 0.4, 0.4]

    found = row(ours, theirs)

    logs = [log(a / b) for a, b in zip(ours, theirs, strict=True)]
    low, high = stats.t.interval(0.95, 2, sum(logs) / 3, stats.sem(logs))
    assert (found.low, found.ratio, found.high) == pytest.approx(
        (exp(low), exp(sum(logs) / 3), exp(high))
    )
    nothing = row([0.8, 0.8], [0.0, 0.4])
    assert (nothing.low, nothing.ratio, nothing.high) == (None, 4.0, None)


def test_one_seed_has_no_interval_and_no_line_of_json_a_nan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = row([0.8], [0.4])

    import_module("rows").write([one], tmp_path / "x.json")
    import_module("learning").show([one])

    found = json.loads((tmp_path / "x.json").read_text())
    assert (found["ratio"], found["low"], found["difference_high"]) == (2.0, None, None)
    assert "NaN" not in (tmp_path / "x.json").read_text()
    assert "+0.400" in capsys.readouterr().out


def test_a_grade_that_cannot_be_read_is_no_immunity() -> None:
    injections, task = import_module("injections"), Task("t", "q", "1", VERIFIERS["number"])

    def judged(score: float | None) -> Episode:
        return Episode("e", task, "judged", (), Outcome(verdicts=(Verdict(1, "grade", score),)))

    assert [injections.graded(judged(score)) for score in (0.0, 0.7, None)] == [0.0, 0.7, None]
    assert injections.lifted({"a": 0.25, "b": 0.5}, {"a": 0.75}) == 0.5
    assert injections.lifted({"b": 0.5}, {"a": 0.75}) is None
