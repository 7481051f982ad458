"""Casting: who plays which episode, always the same, and as often as it should be."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from moot.agents.errors import MootError
from moot.agents.population import Agent, Population
from moot.agents.types import Task
from moot.experiments.main import main
from moot.protocols.casting import Everybody, Some
from moot.protocols.verifiers import VERIFIERS

PEOPLE = Population(
    (
        *(Agent(f"p{i}", "policy", "main", rating=math.log(i + 1)) for i in range(4)),
        *(Agent(f"j{i}", "judge", "main") for i in range(3)),
    )
)


def task(i: int) -> Task:
    return Task(f"t{i}", "?", None, VERIFIERS["exact"])


def names(casting: Some | Everybody, i: int, people: Population = PEOPLE) -> list[str]:
    return [agent.name for agent in casting.cast(people, task(i), i).agents]


def test_all_play_unless_it_is_said_otherwise() -> None:
    assert Everybody().cast(PEOPLE, task(0), 0) == PEOPLE
    assert len(names(Some(kind="sample"), 0)) == 7


def test_a_sample_is_the_tasks_own_and_keeps_the_speaking_order() -> None:
    casting = Some(kind="sample", policies=2, judges=1)

    drawn = [tuple(names(casting, i)) for i in range(600)]

    assert drawn == [tuple(names(casting, i)) for i in range(600)]
    assert all(cast == tuple(sorted(cast, key=lambda n: (n[0] != "p", n))) for cast in drawn)
    pairs = Counter(cast[:2] for cast in drawn)  # 6 pairs, 100 times each: its deviation is 9.1
    assert len(pairs) == 6
    assert all(abs(n - 100) < 3.3 * 9.1 for n in pairs.values())
    assert {len(cast) for cast in drawn} == {3}


def test_round_robin_goes_round() -> None:
    casting = Some(kind="round_robin", policies=3, judges=1)

    assert [names(casting, i) for i in range(3)] == [
        ["p0", "p1", "p2", "j0"],
        ["p0", "p1", "p3", "j1"],  # p3, p0, p1: in the speaking order
        ["p0", "p2", "p3", "j2"],  # p2, p3, p0
    ]


def test_the_better_are_cast_as_much_oftener_as_their_odds_say() -> None:
    counts = Counter(names(Some(kind="rating", policies=1), i)[0] for i in range(2000))

    for i in range(4):  # odds of 1 : 2 : 3 : 4
        p = (i + 1) / 10
        assert abs(counts[f"p{i}"] - 2000 * p) < 3.3 * math.sqrt(2000 * p * (1 - p))


def test_more_seats_than_agents_are_an_error() -> None:
    with pytest.raises(MootError, match="5 agents are to play 'policy', and there are 4"):
        names(Some(kind="sample", policies=5), 0)
    with pytest.raises(MootError, match="1 agents are to play 'critic', and there are 0"):
        names(Some(kind="rating", critics=1), 0)


def test_who_plays_more_than_one_role_takes_a_seat_of_its_first() -> None:
    both = Population((replace(PEOPLE.agents[0], others=("judge",)), *PEOPLE.agents[1:4]))

    cast = Some(kind="sample", policies=4).cast(both, task(0), 0)
    assert [agent.name for agent in cast.playing("judge")] == ["p0"]


EXPERIMENT = """\
name: cast
cycles: 1
engines:
  main: {kind: simulated, competence: 0.7}
population:
  - {name: solver, count: 5}
casting: {kind: round_robin, policies: SEATS}
tasks: {kind: simulated, options: 2, size: 15, held_out: 5, per_cycle: 10}
protocol: {kind: consensus}
"""


def test_a_run_casts_its_episodes_and_its_controls(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.yaml").write_text(EXPERIMENT.replace("SEATS", "2"))
    for command in ("plan", "run"):
        with pytest.raises(SystemExit) as end:
            main(
                [
                    command,
                    str(tmp_path / "x.yaml"),
                    *(["--out", str(tmp_path / "run")] * (command == "run")),
                ]
            )
        assert end.value.code == 0
    assert "calls       20 a cycle (solver 20)" in capsys.readouterr().out

    turns = pq.read_table(tmp_path / "run" / "cycle-000" / "turns.parquet").to_pylist()
    assert Counter(turn["agent"] for turn in turns) == {f"solver-{i}": 4 for i in range(5)}
    held = pq.read_table(tmp_path / "run" / "controls-vote" / "turns.parquet").to_pylist()
    assert set(Counter(turn["episode"] for turn in held).values()) == {2}


def test_a_cast_that_cant_be_filled_is_named_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.yaml").write_text(EXPERIMENT.replace("SEATS", "6"))
    with pytest.raises(SystemExit) as end:
        main(["plan", str(tmp_path / "x.yaml")])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "x.yaml:7:10 casting: 6 agents are to play 'policy', and there are 5" in said
