"""What becomes known of judges in a run: planted tempers are found, and guessers lose their say."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
from handmade import write_episodes

from moot.agents.population import Agent, Population
from moot.agents.types import Completion
from moot.experiments.analysis.judges import judged
from moot.experiments.analysis.rulings import _same, rulings  # pyright: ignore[reportPrivateUsage]
from moot.experiments.main import main
from moot.protocols.conformance import rehearse
from moot.protocols.consensus import Consensus
from moot.protocols.equivalent import Equivalent
from moot.protocols.rubric import Rubric
from moot.protocols.types import Protocol, Say

EXPERIMENT = """\
name: court
cycles: 2
seed: 3
engines:
  main: {kind: simulated, competence: 0.5}
  good: {kind: simulated, competence: 0.85}
  leaning: {kind: simulated, competence: 0.8, bias: 0.2}
  guessing: {kind: simulated, competence: 0.5, noise: 0.1}
population:
  - {name: solver, count: 4, engine: main}
  - {name: good, role: judge, engine: good}
  - {name: leaning, role: judge, engine: leaning}
  - {name: guessing, role: judge, engine: guessing}
tasks: {kind: simulated, options: 2, size: 130, held_out: 20, per_cycle: 50}
protocol: {kind: judged, judging: {kind: JUDGING}}
"""


def court(folder: Path, judging: str = "pairwise") -> dict[str, tuple[float, float, float]]:
    """Return the metrics of the last cycle of such a run: value, low and high."""
    (folder / "x.yaml").write_text(EXPERIMENT.replace("JUDGING", judging))
    with pytest.raises(SystemExit) as end:
        main(["run", str(folder / "x.yaml"), "--out", str(folder / "run")])
    assert end.value.code == 0
    rows = pq.read_table(folder / "run" / "metrics.parquet").to_pylist()
    return {row["name"]: (row["value"], row["low"], row["high"]) for row in rows if row["cycle"]}


@pytest.fixture(scope="module")
def found(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, dict[str, tuple[float, float, float]]]:
    folder = tmp_path_factory.mktemp("court")
    return folder / "run", court(folder)


def test_a_planted_taste_for_the_first_place_is_found_and_swapped_away(
    found: tuple[Path, dict[str, tuple[float, float, float]]],
) -> None:
    run, metrics = found

    # bias + (1 - bias)·p in either order: the first place is .2 ahead of the second.
    assert metrics["judges/position_bias@leaning"][0] == pytest.approx(0.2)
    assert metrics["judges/position_bias@good"][0] == pytest.approx(0, abs=1e-9)
    # Of equals it says .6 in either order: their mean is an even chance, and nobody is preferred.
    turns = pq.read_table(run / "cycle-000" / "turns.parquet").to_pylist()
    right = {(t["episode"], t["turn"]): t["correct"] for t in turns}
    verdicts = pq.read_table(run / "cycle-000" / "verdicts.parquet").to_pylist()
    panel = [v for v in verdicts if v["kind"] == "preference" and v["by"] is None]
    alike = [v for v in panel if right[v["episode"], v["of"]] == right[v["episode"], v["over"]]]
    assert {round(v["score"], 9) for v in alike} <= {0.5}
    unlike = [v for v in panel if v not in alike]
    assert len(unlike) > 50
    for verdict in unlike:
        assert (verdict["score"] > 0.5) == right[verdict["episode"], verdict["of"]]


def test_a_judge_at_chance_is_named_and_gets_no_weight(
    found: tuple[Path, dict[str, tuple[float, float, float]]],
) -> None:
    run, metrics = found

    value, low, high = metrics["judges/auc@guessing"]
    assert low <= 0.5 <= high
    assert value == pytest.approx(0.5)
    assert metrics["judges/trust@guessing"][0] == 0
    assert metrics["judges/auc@good"][1] > 0.5
    assert metrics["judges/trust@good"][0] > 0.5
    assert 0 < metrics["judges/unreadable@guessing"][0] < 0.2
    report = (run / "report.html").read_text()
    assert "Judge guessing can&#39;t be told from chance" in report
    assert "Judge leaning leans to the first place (+0.20 [" in report
    assert "Judge good is" not in report
    # In the first cycle its .5 pulls the panel to (.85 + .74 + .5) / 3; then (.85 + .74) / 2.
    # It can't always be read: then the others are alone in the first cycle, too.
    for cycle, pulled in ((0, {0.697, 0.303}), (1, set[float]())):
        verdicts = pq.read_table(run / f"cycle-00{cycle}" / "verdicts.parquet").to_pylist()
        panel = [v["score"] for v in verdicts if v["by"] is None and v["kind"] == "preference"]
        assert {round(score, 3) for score in panel} - {0.5, 0.795, 0.205} == pulled


def test_marks_are_held_against_answers_too(tmp_path: Path) -> None:
    metrics = court(tmp_path, "pointwise")

    # Marks 1-5 or 6-10 by whether it is right: the expectations are two values, told apart always.
    assert metrics["judges/auc@good"][0] == 1
    assert metrics["judges/auc@guessing"][0] == pytest.approx(0.5)
    assert metrics["judges/trust@guessing"][0] == 0
    assert "judges/position_bias@leaning" not in metrics


def test_agents_are_rated_by_who_is_found_better(
    found: tuple[Path, dict[str, tuple[float, float, float]]],
) -> None:
    _, metrics = found

    ratings = [metrics[f"talk/rating@solver-{i}"][0] for i in range(4)]
    assert sum(ratings) == pytest.approx(0, abs=1e-9)
    assert len(set(ratings)) == 4
    for i in range(4):
        value, low, high = metrics[f"talk/rating@solver-{i}"]
        assert low < value < high
        assert high - low < 2


def row(answer: str | None, correct: bool | None) -> dict[str, Any]:
    return {"answer": answer, "correct": correct}


@pytest.mark.parametrize(
    ("turn", "reference", "same"),
    [
        (row("42", True), row("42", True), True),
        (row("41", False), row("41", False), True),
        (row("$50\\%$", True), row("50", True), True),
        (row("41", False), row("42", True), False),
        (row("40", False), row("41", False), None),
        (row("it was Goethe", None), row("goethe", None), None),
        (row(None, None), row("42", True), None),
    ],
)
def test_what_is_known_of_sameness(
    turn: dict[str, Any], reference: dict[str, Any], same: bool | None
) -> None:
    assert _same(turn, reference) is same


def truthful(text: str) -> bool:
    """Whether a criterion of good and bad is true of an answer, or a reply the reference's."""
    if "<right" in text:
        return line_of(text, "<right") == line_of(text, "<reply")
    return (line_of(text, "<answer") == "42") == ("correct" in line_of(text, "<criterion"))


def lying(text: str) -> bool:
    return not truthful(text)


def line_of(text: str, mark: str) -> str:
    return text.split(mark)[1].split("\n")[1]


RUBRIC = "[5] the result is correct\n[-5] the result is wrong\n[-1] the result is absurd"


@pytest.mark.parametrize(
    "protocol", [Rubric(talk=Consensus(), written=RUBRIC), Equivalent(talk=Consensus())]
)
@pytest.mark.parametrize(("finds", "area", "trust"), [(truthful, 1, 1), (lying, 0, 0)])
def test_judges_of_what_is_bad_or_the_same_are_held_to_what_they_were_asked(
    protocol: Protocol,
    finds: Callable[[str], bool],
    area: float,
    trust: float,
    tmp_path: Path,
) -> None:
    """One who is always right has an AUC of 1, though references are often wrong; and a liar 0."""
    policies = [Agent(f"p{i}", "policy", "main") for i in range(4)]
    people, rng = Population((*policies, Agent("j", "judge", "main"))), Random(1)

    def told() -> Callable[[int, Say], str | Completion]:
        said = [rng.choice(["41", "42"]) for _ in policies]

        def reply(turn: int, say: Say) -> str | Completion:
            p = 0.95 if say.choices and finds(say.text) else 0.05
            shares = (p, 1 - p)
            return (
                Completion("?", "stop", 0, 1, 1, 0.0, shares=shares) if say.choices else said[turn]
            )

        return reply

    episodes = [replace(rehearse(protocol, people, told()), id=f"e{n}") for n in range(30)]
    write_episodes(tmp_path, 0, episodes)

    found = {metric.name: metric.value for metric in judged([*rulings(tmp_path)], 0, seed=0)}

    assert (found["judges/auc@j"], found["judges/trust@j"]) == (area, trust)
