"""Casting: who plays which episode, always the same, and as often as it should be."""

import asyncio
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from moot.agents.errors import EngineError, MootError
from moot.agents.population import Agent, Population
from moot.agents.types import Completion, Request, Task, Weights
from moot.experiments.cycle.talk import talk
from moot.experiments.main import main
from moot.protocols.casting import Everybody, Some, seating
from moot.protocols.debate import Debate
from moot.protocols.journal import Journal, digest
from moot.protocols.stage import Stage, StageSettings
from moot.protocols.types import Episode
from moot.protocols.verifiers import VERIFIERS

PEOPLE = Population(
    (
        *(Agent(f"p{i}", "policy", "main", rating=math.log(i + 1)) for i in range(4)),
        *(Agent(f"j{i}", "judge", "main") for i in range(3)),
    )
)


JUDGES = ("j0", "j1", "j2")


def task(i: int) -> Task:
    return Task(f"t{i}", "?", None, VERIFIERS["exact"])


def names(
    casting: Some | Everybody, i: int, people: Population = PEOPLE, seed: int = 0
) -> list[str]:
    return [agent.name for agent in casting.cast(people, task(i), i, seed).agents]


def test_all_play_unless_it_is_said_otherwise() -> None:
    assert Everybody().cast(PEOPLE, task(0), 0, 0) == PEOPLE
    assert len(names(Some(kind="sample"), 0)) == 7


def test_a_sample_is_the_episodes_own_and_keeps_the_speaking_order() -> None:
    casting = Some(kind="sample", policies=2, judges=1)

    drawn = [tuple(names(casting, i)) for i in range(600)]

    assert drawn == [tuple(names(casting, i)) for i in range(600)]
    assert all(cast == tuple(sorted(cast, key=lambda n: (n[0] != "p", n))) for cast in drawn)
    pairs = Counter(cast[:2] for cast in drawn)  # 6 pairs, 100 times each: its deviation is 9.1
    assert len(pairs) == 6
    assert all(abs(n - 100) < 3.3 * 9.1 for n in pairs.values())
    assert {len(cast) for cast in drawn} == {3}
    assert drawn != [tuple(names(casting, i, seed=1)) for i in range(600)]


@pytest.mark.parametrize("policies", [1, 2, 3])
def test_in_turn_all_play_equally_often_and_not_always_beside_the_same(policies: int) -> None:
    casting = Some(kind="round_robin", policies=policies, judges=1)

    casts = [names(casting, i) for i in range(240)]

    assert all(len(cast) == policies + 1 and len(set(cast)) == len(cast) for cast in casts)
    assert all(cast == sorted(cast, key=lambda n: (n[0] != "p", n)) for cast in casts)
    counts = Counter(name for cast in casts for name in cast)
    assert counts == {**{f"p{i}": 60 * policies for i in range(4)}, **dict.fromkeys(JUDGES, 80)}
    met = Counter((one, cast[-1]) for cast in casts for one in cast[:-1])
    assert min(met.values()) > 10 * policies  # of 20 with each judge
    lap = [name for cast in casts[: 4 // policies] for name in cast[:-1]]
    assert len(set(lap)) == len(lap)
    assert casts != [names(casting, i, seed=1) for i in range(240)]


def test_a_cycle_goes_on_where_the_one_before_ended_and_draws_anew() -> None:
    tasks = [task(i) for i in range(2)]
    played: dict[str, Counter[str]] = {}
    for kind in ("round_robin", "sample"):
        casting = Some.model_validate({"kind": kind, "policies": 1})
        found = played[kind] = Counter[str]()
        for cycle in range(40):
            cast = seating(casting, PEOPLE, tasks, 7, cycle)
            found.update(cast(one).agents[0].name for one in tasks)

    assert set(played["round_robin"].values()) == {20}
    assert min(played["sample"].values()) > 8  # in each cycle another; its deviation is 3.9
    assert len(played["sample"]) == 4


def test_the_better_are_cast_as_much_oftener_as_their_odds_say() -> None:
    counts = Counter(names(Some(kind="rating", policies=1), i)[0] for i in range(2000))

    for i in range(4):  # odds of 1 : 2 : 3 : 4
        p = (i + 1) / 10
        assert abs(counts[f"p{i}"] - 2000 * p) < 3.3 * math.sqrt(2000 * p * (1 - p))


def test_more_seats_than_agents_are_an_error() -> None:
    with pytest.raises(MootError, match="5 are to play 'policy', which is"):
        names(Some(kind="sample", policies=5), 0)
    with pytest.raises(MootError, match="1 are to play 'critic', which is"):
        names(Some(kind="rating", critics=1), 0)


def test_who_plays_more_than_one_role_takes_a_seat_of_its_first() -> None:
    both = Population((replace(PEOPLE.agents[0], others=("judge",)), *PEOPLE.agents[1:4]))

    cast = Some(kind="sample", policies=4).cast(both, task(0), 0, 0)
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
    told = capsys.readouterr().out
    assert "calls       20 a cycle (solver 20)\n            in the first cycle" in told
    assert "controls    10 calls for the protocol on the held-out tasks" in told

    turns = pq.read_table(tmp_path / "run" / "cycle-000" / "turns.parquet").to_pylist()
    assert Counter(turn["agent"] for turn in turns) == {f"solver-{i}": 4 for i in range(5)}
    held = pq.read_table(tmp_path / "run" / "controls-vote-1" / "turns.parquet").to_pylist()
    assert set(Counter(turn["episode"] for turn in held).values()) == {2}


def test_a_cast_that_cant_be_filled_is_named_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.yaml").write_text(EXPERIMENT.replace("SEATS", "6"))
    with pytest.raises(SystemExit) as end:
        main(["plan", str(tmp_path / "x.yaml")])
    assert end.value.code == 2
    said = capsys.readouterr().err
    wrong = "6 are to play 'policy', which is the (first) role of 5 agents"
    assert f"x.yaml:7:10 casting: {wrong}" in said


@pytest.mark.parametrize("kind", ["sample", "round_robin", "rating"])
@pytest.mark.parametrize("seats", [1, 2, 3, 4, 5])
def test_extremes_let_everybody_sit_out_who_may(kind: str, seats: int) -> None:
    people = Population(tuple(Agent(f"p{i}", "policy", "main") for i in range(5)))
    casting = Some.model_validate({"kind": kind, "policies": seats})

    casts = [{agent.name for agent in cast.agents} for cast in casting.extremes(people)]

    assert {len(cast) for cast in casts} == {seats}
    absent = {agent.name for agent in people.agents} - set.intersection(*casts)
    assert len(absent) == (5 if seats < 5 else 0)


def test_extremes_let_as_many_of_a_role_sit_out_as_may() -> None:
    both = {"p0": ("critic",), "j1": ("critic",)}  # who play the critic, too
    agents = [*PEOPLE.agents[:2], *PEOPLE.agents[4:6]]
    people = Population(tuple(replace(one, others=both.get(one.name, ())) for one in agents))
    casting = Some(kind="round_robin", policies=1, judges=1)

    played = [{a.name for a in casting.cast(people, task(i), i, 0).agents} for i in range(20)]
    assert {"p1", "j0"} in played  # who have no critic among them
    assert {"p1", "j0"} in [{a.name for a in cast.agents} for cast in casting.extremes(people)]


def test_a_protocol_that_needs_one_who_may_sit_out_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    debate = "{kind: debate, topology: {kind: star, hub: solver-3}}"
    text = EXPERIMENT.replace("SEATS", "4").replace("{kind: consensus}", debate)
    for kind, code in (("round_robin", 2), ("sample", 2), ("rating", 2), ("all", 0)):
        seated = text.replace("round_robin", kind)
        if kind == "all":
            seated = seated.replace(", policies: 4", "")
        (tmp_path / "x.yaml").write_text(seated)
        with pytest.raises(SystemExit) as end:
            main(["plan", str(tmp_path / "x.yaml")])
        assert end.value.code == code
        told = capsys.readouterr().err
        assert ("x.yaml:9:11 protocol: no policy is called 'solver-3'" in told) == (code == 2)


def test_a_kind_of_casting_is_asked_for_by_its_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.yaml").write_text(EXPERIMENT.replace("kind: round_robin, policies: SEATS", ""))
    with pytest.raises(SystemExit):
        main(["plan", str(tmp_path / "x.yaml")])
    wanted = "casting.kind: is missing; one of 'all', 'sample', 'round_robin', 'rating'"
    assert wanted in capsys.readouterr().err


@dataclass
class Mortal:
    """An engine that answers by what it is asked, until it has answered `left` times."""

    left: int
    asked: list[str] = field(default_factory=list[str])

    async def generate(self, request: Request) -> Completion:
        if len(self.asked) == self.left:
            raise EngineError("engine 'main': gone for good")
        self.asked.append(digest(request))
        return Completion(str(request.seed % 3), "stop", 0, 1, 1, 0.0)

    async def load(self, weights: Weights) -> None:
        raise NotImplementedError

    async def held(self) -> Mapping[str, int]:
        return {}


def talked(folder: Path, engine: Mortal, casting: Some, lost: int | None = None) -> list[Episode]:
    """Return the episodes of a talk about ten tasks, of which one may have been lost before."""
    with Journal(folder / "journal.sqlite") as journal:
        if lost is not None:
            journal.finish(f"cycle-000/t{lost} failed")
        stage = Stage({"main": engine}, journal, 7, StageSettings(open_episodes=2))
        tasks, out = [task(i) for i in range(10)], folder / "cycle-000"
        found: list[Episode] = []
        how: Any = {"cycle": 0, "out": out, "casting": casting, "hear": found.append}
        asyncio.run(talk(stage, Debate(), tasks, PEOPLE, **how))
        return found


@pytest.mark.parametrize("kind", ["sample", "round_robin", "rating"])
def test_a_talk_that_is_resumed_has_the_casts_it_had(kind: str, tmp_path: Path) -> None:
    casting = Some.model_validate({"kind": kind, "policies": 2})
    for name in ("whole", "cut", "lossy"):
        (tmp_path / name).mkdir()
    whole = Mortal(left=40)
    episodes = talked(tmp_path / "whole", whole, casting)
    assert len(set(whole.asked)) == 40  # ten tasks, two policies, two rounds

    first, second = Mortal(left=17), Mortal(left=40 - 17)
    with pytest.raises(EngineError):
        talked(tmp_path / "cut", first, casting)
    assert talked(tmp_path / "cut", second, casting) == episodes
    assert sorted(first.asked + second.asked) == sorted(whole.asked)

    # One that is lost takes no other's place: those after it are cast as they were.
    lossy = talked(tmp_path / "lossy", Mortal(left=36), casting, lost=3)
    assert lossy == [*episodes[:3], *episodes[4:]]
