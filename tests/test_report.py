"""The report: what it says, what it must not contain, and runs that are not finished."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from handmade import EVIL, RESOLVED, evaluation, finished, people
from page import Page, shown

from moot.agents.errors import MootError
from moot.agents.population import anchor
from moot.experiments.files.store import write_metrics
from moot.experiments.report.page import clip, plain, write
from moot.protocols.journal import Metric


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return finished(tmp_path)


def measured(run: Path, *more: Metric) -> None:
    """Add metrics to those of a run."""
    found = pq.read_table(run / "metrics.parquet").to_pylist()
    known = [Metric(**row | {"step": -1 if row["step"] is None else row["step"]}) for row in found]
    write_metrics(run / "metrics.parquet", [*known, *more])


def test_the_page_begins_with_what_was_found(run: Path) -> None:
    text = shown(run).text

    assert re.search(
        r"Held-out accuracy rose from 0\.30 \[0\.20, 0\.40\] to 0\.95 \[0\.85, 1\.00\] over two "
        r"cycles \(paired difference \+0\.\d\d \[\+0\.\d\d, \+0\.\d\d\]\)\.",
        text,
    )
    assert re.search(
        r"The untrained model's vote of 23, at the same compute, gives 0\.50 \[0\.40, 0\.60\]: a "
        r"single answer of the trained model is better \(paired difference \+0\.9\d \[\+0\.\d\d, ",
        text,
    )
    assert "finished: two cycles" in text


def test_what_agents_said_is_text_and_nothing_else(run: Path) -> None:
    raw = write(run).read_text()

    assert EVIL not in raw
    assert EVIL in Page(raw).text
    assert "sums & <b>differences</b>" in Page(raw).text
    assert not {"script", "img", "iframe", "object", "embed"} & {tag for tag, _ in Page(raw).tags}


def test_text_that_runs_from_right_to_left_moves_no_mark_beside_it(run: Path) -> None:
    before = re.findall(r'(.{6}) <span class="(?:right|wrong)">', write(run).read_text())

    assert len(before) > 10
    assert {*before} <= {"</bdi>", ">none"}


def test_the_page_asks_for_nothing_from_outside(run: Path) -> None:
    raw = write(run).read_text()
    styles = re.findall(r"<style>(.*?)</style>", raw, re.DOTALL)

    for _, attributes in Page(raw).tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,"))
        assert "url(" not in (attributes.get("style") or "")
    assert "url(" not in "".join(styles)
    assert "@import" not in "".join(styles)
    assert "default-src 'none'" in raw


def test_the_page_is_well_formed_and_its_ids_and_links_fit(run: Path) -> None:
    page = shown(run)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    links = {str(a["href"])[1:] for tag, a in page.tags if tag == "a"}

    assert page.open == []
    assert len(ids) == len(set(ids))
    assert links <= set(ids)
    for tag, attributes in page.tags:
        if tag == "svg":
            assert set(str(attributes["aria-labelledby"]).split()) <= set(ids)


def test_the_same_files_give_the_same_page(run: Path) -> None:
    assert write(run).read_bytes() == write(run).read_bytes()
    assert sorted(p.name for p in run.glob("*.html*")) == ["report.html"]


def test_episodes_are_there_to_be_read(run: Path) -> None:
    text = shown(run).text

    assert "the population was right" in text
    assert "no readable answer" in text
    assert "What is 0 + 1?" in text
    assert "match: 1, by turn 4" in text
    assert "solver v1" in text
    assert "the reference differs from the majority" in text
    assert re.search(r"differs from the majority .* in \w+ of \w+ episodes", text)


def test_unknown_metrics_are_shown_too(run: Path) -> None:
    text = shown(run).text

    assert "oddity" in text
    assert "swap/canary_change" not in text


def test_what_hearing_others_changed_is_drawn_where_others_were_heard(run: Path) -> None:
    title = "Right before and after hearing others"
    assert "Right in the talk" in shown(run).text
    assert title not in shown(run).text
    measured(run, Metric(0, "talk/first_accuracy", 0.5))

    assert title in shown(run).text


def test_no_learning_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(RESOLVED)
    (tmp_path / "cycle-000" / "weights" / "solver").mkdir(parents=True)
    metrics = evaluation(tmp_path, 0, 0.5) + evaluation(tmp_path, 1, 0.5)
    write_metrics(tmp_path / "metrics.parquet", metrics)
    text = shown(tmp_path).text

    assert "No learning was shown" in text
    assert "includes zero" in text
    assert "not finished: 1 of two cycles" in text


def test_a_vote_that_the_runs_compute_does_not_buy_is_called_that(run: Path) -> None:
    measured(run, Metric(2, "baseline/votes_affordable", 0))

    assert "vote of 23, more than the run's compute buys, gives" in shown(run).text


def test_what_learnt_verdicts_are_worth_is_said(run: Path) -> None:
    learnt = {"verification_f1": 0.8, "verification_auc": 0.9, "weighted_majority": 1.0}
    measured(run, *(Metric(2, f"held_out/{name}", v, v - 0.1, v) for name, v in learnt.items()))

    text = shown(run).text

    assert (
        "Its verdicts on its own answers: F1 0.80 [0.70, 0.80], and a right answer's is higher "
        "than a wrong one's in 0.90 [0.80, 0.90] of pairs; the vote that they weigh gives 1.00 "
        "[0.90, 1.00]."
    ) in text
    assert "their vote, weighed by their verdicts" in text


def test_a_fall_is_called_a_fall(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(RESOLVED)
    (tmp_path / "cycle-000" / "weights" / "solver").mkdir(parents=True)
    metrics = evaluation(tmp_path, 0, 0.95) + evaluation(tmp_path, 1, 0.1)
    write_metrics(tmp_path / "metrics.parquet", metrics)

    assert "Held-out accuracy fell from 0.95" in shown(tmp_path).text


def test_a_run_that_has_just_begun_has_a_report(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(RESOLVED)

    assert "This run has just begun" in shown(tmp_path).text


@pytest.mark.parametrize(
    "gone",
    [
        "metrics.parquet",
        "cycle-000/turns.parquet",
        "cycle-001/episodes.parquet",
        "cycle-001/verdicts.parquet",
        "held-out-000/turns.parquet",
        "held-out-002/episodes.parquet",
    ],
)
def test_any_file_may_be_missing(run: Path, gone: str) -> None:
    (run / gone).unlink()

    assert shown(run).text


def test_a_broken_file_is_named_and_the_rest_is_shown(run: Path) -> None:
    (run / "cycle-000" / "turns.parquet").write_bytes(b"PAR1 and no more")
    pq.write_table(pa.table({"cycle": [1]}), run / "cycle-001" / "episodes.parquet")
    text = shown(run).text

    assert "Could not be read: cycle-000/turns.parquet" in text
    assert "Could not be read: cycle-001/episodes.parquet: it has no column episode" in text
    assert "Held-out accuracy rose" in text


def test_several_weights_are_shown_each(run: Path) -> None:
    metrics = [
        Metric(n, f"held_out/accuracy{of}", 0.5, 0.4, 0.6)
        for n in (0, 1, 2)
        for of in ("", "@left", "@right")
    ]
    write_metrics(run / "metrics.parquet", metrics)
    text = shown(run).text

    assert "Held-out accuracy of each weights" in text
    assert "right" in text


def test_values_that_are_no_numbers_leave_a_chart_standing(run: Path) -> None:
    metrics = [
        Metric(0, "train/loss", value, step=i) for i, value in enumerate((1.0, float("nan")))
    ]
    write_metrics(run / "metrics.parquet", metrics)

    assert "nan" not in re.findall(r'd="([^"]*)"', write(run).read_text())


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MootError, match=r"holds no run \(there is no experiment.yaml\)"):
        write(tmp_path)
    with pytest.raises(MootError, match="no such directory"):
        write(tmp_path / "nowhere")
    (tmp_path / "experiment.yaml").write_text("a: [1")
    with pytest.raises(MootError, match="isn't YAML"):
        write(tmp_path)
    (tmp_path / "experiment.yaml").write_text("- 1")
    with pytest.raises(MootError, match="expected an experiment, got list"):
        write(tmp_path)


def test_settings_and_texts_are_shortened_for_reading() -> None:
    assert plain({"rank": 16, "lr": 3e-4, "kl": None, "on": True}) == ("rank 16, lr 0.0003, on yes")
    assert plain(list(range(9))) == "9 entries"
    assert clip("x" * 5000, 10) == "xxxxxxxxxx … (5,000 characters)"


def test_the_anchor_is_drawn_among_the_solvers(run: Path) -> None:
    name = anchor(people(0).agents[0]).name

    assert f"{name} heard solver-0 12 times" in shown(run).text


def test_a_vote_that_is_still_to_be_taken_is_named(run: Path) -> None:
    path = run / "metrics.parquet"
    metrics = pq.read_table(path)
    kept = [row for row in metrics.to_pylist() if not row["name"].startswith("baseline/")]
    pq.write_table(pa.Table.from_pylist(kept, schema=metrics.schema), path)

    assert "vote at the same compute has not been taken yet" in shown(run).text
