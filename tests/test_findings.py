"""Findings: what a run is said to have shown, and what of it can't be told."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from handmade import RESOLVED, evaluation, sums, told, write_episodes

from moot.agents.population import Agent, Population
from moot.experiments.compare.outcome import outcome
from moot.experiments.cycle.evaluation import summary
from moot.experiments.files.store import write_metrics
from moot.experiments.report.conversations import Ending
from moot.experiments.report.evaluations import accuracies, improvement
from moot.experiments.report.findings import findings, in_short, reference_findings
from moot.experiments.report.readings import read
from moot.experiments.report.state import state
from moot.protocols.consensus import Consensus
from moot.protocols.journal import Metric


def said(run: Path, *metrics: Metric) -> str:
    """Return what is found of a run that was evaluated once, with `metrics` of its end."""
    (run / "experiment.yaml").write_text(RESOLVED)
    write_metrics(run / "metrics.parquet", [*evaluation(run, 2, 0.5), *metrics])
    return " ".join(map(str.strip, in_short(read(run))))


def test_what_the_protocol_gains_over_a_control_is_said_where_it_is_known(tmp_path: Path) -> None:
    ours, alone = Metric(2, "controls/protocol", 0.75), Metric(2, "controls/single", 0.5)
    vote, over = Metric(2, "controls/vote", 1.0), Metric(2, "controls/over_vote", -0.25, -0.5, 0)

    few = said(tmp_path, ours, alone, vote)
    assert "without it: a single answer 0.50 a vote 1.00 Fewer than 8 tasks are in both" in few
    more = said(tmp_path, ours, vote, over)
    assert "without it, and what it gains over that: a vote 1.00 (−0.25 [−0.50, +0.00])" in more
    assert "Fewer" not in more


def test_of_verdicts_on_too_few_right_or_wrong_answers_that_is_said(tmp_path: Path) -> None:
    weighed = Metric(2, "held_out/weighted_majority", 1.0, 0.9, 1.0)
    (tmp_path / "cycle-000" / "weights" / "solver").mkdir(parents=True)

    assert (
        "fewer than 8 tasks have a right one, or fewer than 8 a wrong one. The vote that they "
        "weigh gives 1.00 [0.90, 1.00]."
    ) in said(tmp_path, *evaluation(tmp_path, 0, 0.5), weighed)


def test_of_weights_that_nobody_trained_no_rise_or_fall_is_told(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(RESOLVED)
    metrics = [m for n, skill in enumerate((0.1, 0.2, 0.9)) for m in evaluation(tmp_path, n, skill)]
    write_metrics(tmp_path / "metrics.parquet", metrics)
    readings = read(tmp_path)

    change = improvement(readings, 0, 2)
    assert change is not None
    assert change.low > 0  # by chance
    each = [fmean(accuracies(folder).values()) for folder in readings.held_out.values()]
    first, vote = findings(readings)
    assert first.startswith(
        "No weights were trained in this run: over three evaluations of the same ones the held-out "
        f"accuracy is {fmean(each):.2f} ["
    )
    assert vote.startswith("A vote of 4 such answers gives 0.")
    assert outcome(readings).change is None


def test_a_run_is_not_finished_before_its_controls_and_baseline_are_there(tmp_path: Path) -> None:
    begun = evaluation(tmp_path, 2, 0.5)
    controls, vote = Metric(2, "controls/failed_episodes", 0), Metric(2, "baseline/votes", 3)
    (tmp_path / "cycle-001" / "weights" / "solver").mkdir(parents=True)

    def stands(kind: str, *metrics: Metric) -> str:
        text = RESOLVED.replace("baseline: true", "baseline: true, controls: true")
        text = text.replace("{kind: synthesis, samples: 1, question: hidden}", f"{{kind: {kind}}}")
        (tmp_path / "experiment.yaml").write_text(text)
        write_metrics(tmp_path / "metrics.parquet", [*begun, *metrics])
        return state(read(tmp_path))

    both = "the controls and the untrained model's vote"
    assert stands("synthesis") == f"not finished: two cycles, but not yet {both}"
    assert stands("synthesis", vote) == "not finished: two cycles, but not yet the controls"
    assert stands("synthesis", controls, vote) == "finished: two cycles"
    assert stands("sample", vote) == "finished: two cycles"  # it comes to no answer
    assert stands("gone", vote) == "finished: two cycles"


def examined(run: Path, version: int, answered: Mapping[str, int]) -> list[Metric]:
    """Let two answer 16 tasks, one rightly and one wrongly, each so many, and measure it."""
    phase = f"held-out-{version:03d}"
    episodes = [
        replace(
            told(task, Consensus(samples=1), Population((Agent(name, "policy", "main"),)), [text]),
            id=f"{phase}@{name}/{task.id}",
        )
        for name, n in answered.items()
        for task in sums(0, 16)[:n]
        for text in [str(task.answer) if name == "strong" else "none"]
    ]
    write_episodes(run / phase, version, episodes)
    return summary(episodes, version, 0)


def test_whose_episodes_fail_is_no_loss_that_counts_as_a_gain(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(RESOLVED)
    answered = [{"strong": 16, "weak": n} for n in (16, 10, 2)] + [{"strong": 16}]
    metrics = [examined(tmp_path, n, some) for n, some in enumerate(answered)]

    for some in metrics[:3]:
        assert {m.name: m.value for m in some}["held_out/accuracy"] == 0.5
    readings = read(tmp_path)
    change = improvement(readings, 0, 1)
    assert change is not None
    assert change.value == 0
    assert change.low < 0 < change.high
    assert improvement(readings, 0, 2) is None  # two tasks are too few
    assert improvement(readings, 0, 3) is None  # the one who remains is not both


def test_episodes_whose_reference_could_not_be_read_are_counted_apart() -> None:
    read = Ending(0, "a", "rubric", False, True, True)
    unread = replace(read, differs=None)
    differs = "The reference differs from the majority of the answers it was made from in"
    right = "Of these the reference was right in 0, the majority in 1 and neither in 0."

    assert reference_findings([read, unread, unread, unread]) == (
        f"{differs} 1 of 1 episode (100%); in three others one of the two is missing or can't be "
        f"read. {right}"
    )
    assert reference_findings([read, replace(read, differs=False)]) == (
        f"{differs} 1 of 2 episodes (50%). {right}"
    )
    assert reference_findings([unread]) is None


def test_where_several_vote_untrained_each_casts_so_many(tmp_path: Path) -> None:
    (tmp_path / "cycle-000" / "weights" / "solver").mkdir(parents=True)
    vote = [Metric(2, "baseline/votes", 23), Metric(2, "baseline/majority", 0.5, 0.4, 0.6)]
    each = [Metric(2, f"baseline/majority@p{i}", 0.5) for i in range(2)]
    before = evaluation(tmp_path, 0, 0.5)

    gives = "at the same compute, gives 0.50"
    alone, several = said(tmp_path, *before, *vote), said(tmp_path, *before, *vote, *each)
    assert f"The untrained model's vote of 23, {gives}" in alone
    assert f"The untrained model's vote of 23 by each policy, {gives}" in several
