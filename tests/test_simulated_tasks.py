"""Simulated tasks: how many there are, and a plan without a model."""

from pathlib import Path

import pytest

from moot.experiments.main import main
from moot.experiments.tasks.simulated import SimulatedTasks


@pytest.mark.parametrize("options", [2, 8, None])
def test_the_tasks_are_as_many_as_they_say_and_have_answers(options: int | None) -> None:
    split = SimulatedTasks(options=options, size=300, held_out=40, per_cycle=9).load(2)

    assert (len(split.train), len(split.held_out)) == (260, 40)
    assert all(task.correct(task.verifier.read(str(task.answer))) for task in split.train)
    if options:
        assert {task.answer for task in split.train} == set("ABCDEFGH"[:options])


def test_an_experiment_is_planned_without_a_model(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("""\
name: simulated
cycles: 1
engines:
  able: {kind: simulated, competence: 0.8}
  weak: {kind: simulated, competence: 0.4, conformity: 0.5}
population:
  - {name: able, engine: able, count: 2}
  - {name: weak, engine: weak, count: 3}
tasks: {kind: simulated, options: 4}
protocol: {kind: debate, topology: {kind: ring}}
""")

    with pytest.raises(SystemExit) as end:
        main(["run", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "out")])

    assert not end.value.code
    report = (tmp_path / "out" / "report.html").read_text()
    assert "differs from the vote of the first answers" in report

    with pytest.raises(SystemExit):
        main(["run", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "o"), "--set", "cycles=0"])
    assert "the debate itself" in (tmp_path / "o" / "report.html").read_text()
