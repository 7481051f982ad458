"""Casts of whole experiments: planned, played, refused and resumed."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from seated import PEOPLE, task

from moot.agents.errors import EngineError
from moot.agents.types import Completion, Request, Weights
from moot.experiments.cycle.talk import talk
from moot.experiments.main import main
from moot.protocols.casting import Some
from moot.protocols.debate import Debate
from moot.protocols.journal import Journal, digest
from moot.protocols.stage import Stage, StageSettings
from moot.protocols.types import Episode

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
