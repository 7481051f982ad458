"""Runs with a win rate: who judges, when, what is written down and what is said of it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from command import moot, rows

from moot.agents.errors import InputError
from moot.experiments.cycle.win_rate import RATE
from moot.experiments.report.page import write
from moot.experiments.report.readings import Row, read
from moot.experiments.report.state import state
from moot.experiments.report.win_rate import won
from moot.experiments.yaml.loading import load

UNREAD = f"{RATE}_unread"
EXPERIMENT = """\
name: judged-evaluation
cycles: 2
engines:
  main: {{kind: scripted, lines: ["1", "2", "3"], model: {model}}}
population:
  - {{name: solver, count: 3, learns: true}}
  - {{name: judge, role: judge}}
  - {{name: apart, role: judge, count: 2}}
tasks: {{kind: inline, held_out: 8, per_cycle: 8, items: [{items}]}}
protocol: {{kind: judged}}
method: {{kind: dpo}}
fit: {{device: cpu, lora: {{rank: 4}}}}
evaluation: {{samples: 2, judging: {{kind: pairwise}}, judges: [apart]}}
"""


@pytest.fixture
def experiment(tiny: Path, tmp_path: Path) -> Path:
    items = ", ".join(f"{{prompt: What of {i}?}}" for i in range(24))
    path = tmp_path / "x.yaml"
    path.write_text(EXPERIMENT.format(model=tiny, items=items))
    return path


def test_who_judges_the_evaluation_judges_nothing_else(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert moot("run", experiment, "--out", out) == 0

    told = capsys.readouterr().out
    assert "win rate 2: " in told
    assert "held_out/win_rate 0." in told
    assert re.search(r"after two cycles the trained model's held-out answers win", told)
    assert "matched-compute" not in told  # whose votes nobody could tell to be right
    judges = {
        folder: {t["agent"] for t in rows(out / folder / "turns.parquet") if t["role"] == "judge"}
        for folder in ("cycle-000", "cycle-001", "win-rate-001", "win-rate-002")
    }
    assert judges["cycle-000"] == judges["cycle-001"] == {"judge"}
    assert judges["win-rate-001"] == judges["win-rate-002"] == {"apart-0", "apart-1"}
    duels = rows(out / "win-rate-002" / "turns.parquet")
    for version, who in ((2, "solver-0"), (0, "solver-0-untrained")):
        held = rows(out / f"held-out-{version:03d}" / "turns.parquet")
        said = [t["text"] for t in held]
        assert [t["text"] for t in duels if t["agent"] == who] == said
    spent = {u["phase"]: u for u in rows(out / "usage.parquet") if u["agent"] == "apart-0"}
    assert (spent["win-rate-002"]["cycle"], spent["win-rate-002"]["tokens_in"] > 0) == (2, True)
    paid = {u["agent"] for u in rows(out / "usage.parquet") if u["phase"] == "win-rate-002"}
    assert paid == {"apart-0", "apart-1"}  # nobody answered anew
    known = {m["name"] for m in rows(out / "metrics.parquet") if m["cycle"] == 2}
    assert {f"judges/unreadable@apart-{i}" for i in range(2)} <= known
    assert not any("trust@apart" in name for name in known)
    assert moot("export", out, "--kind", "spans", "--to", tmp_path / "spans.json") == 0
    told = (tmp_path / "spans.json").read_text()
    assert "solver-0-untrained" not in told
    assert '"startTimeUnixNano":"0"' not in told.replace(" ", "")
    assert "Win rate on held-out tasks" in write(out).read_text()


def test_a_run_that_was_stopped_goes_on_with_the_win_rate(experiment: Path, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert moot("run", experiment, "--out", whole) == 0
    assert moot("run", experiment, "--out", stopped, "--set", "cycles=1") == 0
    assert moot("run", experiment, "--out", stopped) == 0

    def rates(out: Path) -> list[tuple[int, float]]:
        found = rows(out / "metrics.parquet")
        return [(m["cycle"], m["value"]) for m in found if m["name"] == "held_out/win_rate"]

    assert rates(whole) == rates(stopped)
    assert [cycle for cycle, _ in rates(whole)] == [1, 2]


def test_a_plan_counts_what_judges_compare(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert moot("plan", experiment) == 0

    # Eight tasks, two samples, two judges, both orders, twice at most.
    assert "at most 128 by judges for the win rate after a cycle" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (", judges: [apart]", ", judges: [apar]", r"evaluation.judges.0: no judge.*mean 'apart'"),
        (", judges: [apart]", ", judges: [solver]", "no judge and no group of them is called 'sol"),
        ("judging: {kind: pairwise}, ", "", "`judges` means nothing without `judging`"),
        (", judges: [apart]", ", judges: [apart, judge]", "'judge'.*evaluation.judges judge noth"),
        ("kind: pairwise}, j", "kind: pointwise}, j", r"evaluation.judging.kind: expected one of"),
        ("kind: pairwise}, j", "kind: cascade, experts: [judge]}, j", "no judge and no group"),
        ("kind: pairwise}, j", "kind: cascade, experts: [apart]}, j", "all judges are experts"),
        (", learns: true", "", r"evaluation.judging: nobody learns"),
        ("kind: pairwise}, j", "kind: pairwise, pairs: 1}, j", "`pairs` means nothing in `evalua"),
        (
            "role: judge, count: 2",
            "role: [judge, critic], count: 2",
            "apart is critic too, and",
        ),
    ],
)
def test_who_judges_is_checked(experiment: Path, old: str, new: str, error: str) -> None:
    text = experiment.read_text()
    assert old in text
    experiment.write_text(text.replace(old, new))

    with pytest.raises(InputError, match=error):
        load(experiment)


def test_judges_may_be_there_for_the_evaluation_alone(experiment: Path) -> None:
    text = experiment.read_text().replace("{kind: judged}", "{kind: consensus}")
    experiment.write_text(text.replace("  - {name: judge, role: judge}\n", ""))
    loaded, _ = load(experiment)
    assert [a.name for a in loaded.talking(loaded.people()).agents] == [
        f"solver-{i}" for i in range(3)
    ]
    experiment.write_text(experiment.read_text().replace(", judges: [apart]", ""))
    load(experiment)
    experiment.write_text(experiment.read_text().replace("judging: {kind: pairwise}", ""))
    with pytest.raises(InputError, match="'apart' never speaks in protocol consensus"):
        load(experiment)


def test_without_known_answers_or_judges_a_run_says_what_would_tell(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = experiment.read_text().replace(", judging: {kind: pairwise}, judges: [apart]", "")
    experiment.write_text(text)
    assert moot("run", experiment, "--out", tmp_path / "out", "--set", "cycles=1") == 0

    assert "accuracy can't be told. With `evaluation: {judging: " in capsys.readouterr().out


def test_who_plays_two_parts_may_judge_but_never_itself(experiment: Path, tmp_path: Path) -> None:
    text = experiment.read_text().replace(", judges: [apart]", "").replace("count: 3, l", "l")
    text = text.replace("  - {name: judge, role: judge}\n", "").replace("cycles: 2", "cycles: 1")
    text = text.replace("role: judge, count: 2", "role: [judge, policy], count: 2")
    experiment.write_text(text)
    assert moot("run", experiment, "--out", tmp_path / "out") == 0
    duels = rows(tmp_path / "out" / "win-rate-001" / "turns.parquet")
    assert {t["agent"] for t in duels if t["role"] == "judge"} == {"apart-0", "apart-1"}
    both = text.replace("learns: true", "role: [policy, judge], learns: true")
    experiment.write_text(both)
    assert moot("run", experiment, "--out", tmp_path / "both") == 0
    duels = rows(tmp_path / "both" / "win-rate-001" / "turns.parquet")
    assert {t["agent"] for t in duels if t["role"] == "judge"} == {"apart-0", "apart-1"}
    experiment.write_text(re.sub("  - {name: apart.*\n", "", both))
    with pytest.raises(InputError, match="all judges learn, and nobody judges itself"):
        load(experiment)


def row(name: str, value: float, cycle: int = 1, low: float | None = None) -> Row:
    high = None if low is None else 2 * value - low
    return {"name": name, "cycle": cycle, "step": None, "value": value, "low": low, "high": high}


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        ([], []),
        ([row(UNREAD, 1.0)], ["No judge could compare the held-out answers after one cycle "]),
        (
            [row(UNREAD, 0.0), row(RATE, 0.7, low=0.6)],
            ["Judges find what was learnt better: "],
        ),
        ([row(UNREAD, 0.0), row(RATE, 0.3, low=0.2)], ["Judges find what was learnt worse: "]),
        ([row(UNREAD, 0.0), row(RATE, 0.5, low=0.2)], ["No preference of the judges was shown: "]),
        ([row(UNREAD, 0.0), row(RATE, 0.9)], ["As judges find it, after one cycle the trained"]),
        (
            [row(UNREAD, 0.5), row(f"{RATE}@able", 0.9, low=0.8)],
            ["Judges find what was learnt better: after one cycle able's ", "50% of the pairs "],
        ),
        (
            [row(UNREAD, 0.0), row(RATE, 0.9, low=0.8), row(UNREAD, 1.0, cycle=2)],
            ["No judge could compare the held-out answers after two cycles"],
        ),
    ],
)
def test_the_report_claims_no_more_than_was_found(
    metrics: list[Row], said: list[str], tmp_path: Path
) -> None:
    (tmp_path / "experiment.yaml").write_text("name: x\ncycles: 2\n")
    told = won(replace(read(tmp_path), metrics=tuple(metrics)))

    assert len(told) == len(said)
    assert all(line.startswith(begun) for line, begun in zip(told, said, strict=True))


def test_a_run_without_its_last_win_rate_is_not_finished(experiment: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert moot("run", experiment, "--out", out) == 0
    whole = read(out)
    assert state(whole) == "finished: two cycles"
    without = [m for m in whole.metrics if not (m["name"] == UNREAD and m["cycle"] == 2)]
    assert state(replace(whole, metrics=tuple(without))) == (
        "not finished: two cycles, but not yet the last win rate"
    )
