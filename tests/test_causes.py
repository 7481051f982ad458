"""Causes: who learnt nothing is told why, by what was counted."""

from pathlib import Path

import pytest
from command import rows
from method_runs import played

from moot.experiments.cycle.causes import causes
from moot.protocols.journal import Metric

TALK = {"examples": 8.0, "unreadable": 0.0, "cut": 0.0, "alike": 0.5, "alone": 0.0}


def told(*more: Metric, suffix: str = "", **talk: float) -> str:
    counted = [Metric(1, f"talk/{name}", value) for name, value in {**TALK, **talk}.items()]
    before = Metric(0, "talk/cut", 1.0)  # another cycle's
    return causes([before, *counted, *more], 1, suffix)


def test_the_shares_that_were_counted_are_said() -> None:
    assert told(unreadable=8 / 9, cut=0.25, examples=0.0, alike=0.0) == (
        "the talk gave no examples; 89% of the answers couldn't be read; "
        "25% of the answers were cut at max_tokens"
    )
    assert told(alike=1.0) == "all rewards were alike in 100% of the groups"
    assert told(alike=0.0) == "see talk/examples, and its metrics in train/"


def test_of_several_learners_each_has_its_own_shares() -> None:
    own = [Metric(1, "train/alike@a", 1.0), Metric(1, "train/alike@b", 0.0)]

    assert told(*own, suffix="@a") == "all rewards were alike in 100% of the groups"
    assert told(*own, suffix="@b") == "see talk/examples, and its metrics in train/"


def test_answers_that_nobody_can_read_are_told_of_a_method_without_rewards(
    roomy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    #  A judge who always prefers what it is shown first prefers nothing.
    says = f"engines.main={{kind: scripted, lines: ['1'], model: {roomy}}}"

    out = played(tmp_path, roomy, "dpo", says, "tasks.verifier=choice")

    found = {m["name"]: m["value"] for m in rows(out / "metrics.parquet")}
    assert (found["talk/examples"], found["talk/unreadable"]) == (0, 1)
    why = "the talk gave no examples; 100% of the answers couldn't be read"
    assert f"pupil learnt nothing in cycle 0: {why}\n" in capsys.readouterr().out
