"""Populations: who is in one, what they play, and in which voice."""

from pathlib import Path

import pytest
from wrong import TASKS

from moot.agents.errors import MootError
from moot.agents.population import Agent, Group, Population, anchor
from moot.agents.types import Sampling
from moot.experiments.yaml.loading import load
from moot.protocols.consensus import Consensus

UNLIKE = """\
name: unlike
engines:
  main: {kind: scripted, lines: ["1"]}
  far: {kind: endpoint, url: "http://localhost:1", model: far}
population:
  - name: solver
    engine: main
    role: [judge, policy]
    count: 5
    persona: [Be brief., {file: personas/sceptic.txt}]
    sampling: [{temperature: 0.2}, {temperature: 0.7}, {temperature: 1.2}]
  - {name: elder, engine: far}
"""
FILE = f"{UNLIKE}{TASKS}protocol: {{kind: consensus}}\n"


def unlike(folder: Path) -> Population:
    (folder / "personas").mkdir()
    (folder / "far").mkdir()  # a folder that is called as the endpoint's model is
    (folder / "personas" / "sceptic.txt").write_text("Doubt\neverything.\n")
    (folder / "x.yaml").write_text(FILE)
    return load(folder / "x.yaml")[0].people()


def test_several_personas_and_samplings_go_round_the_group(tmp_path: Path) -> None:
    solvers = unlike(tmp_path).agents[:5]

    assert [a.persona for a in solvers] == [
        "Be brief.",
        "Doubt\neverything.",
        "Be brief.",
        "Doubt\neverything.",
        "Be brief.",
    ]
    assert [a.sampling.temperature for a in solvers] == [0.2, 0.7, 1.2, 0.2, 0.7]


def test_what_a_server_calls_its_model_is_no_folder_of_ours(tmp_path: Path) -> None:
    unlike(tmp_path)

    engine = load(tmp_path / "x.yaml")[0].engines["far"]

    assert getattr(engine, "model", None) == "far"


def test_an_agent_of_several_roles_plays_each_as_that_role(tmp_path: Path) -> None:
    people = unlike(tmp_path)

    assert [a.name for a in people.playing("policy")] == [
        *(f"solver-{i}" for i in range(5)),
        "elder",
    ]
    assert {a.role for a in people.playing("policy")} == {"policy"}
    assert [a.role for a in people.playing("judge")] == ["judge"] * 5
    assert sum(Consensus().calls(people).values()) == 6
    with pytest.raises(MootError, match=r"no agent plays 'critic'.*judge ×5, policy ×6"):
        people.playing("critic")


def test_a_role_played_is_given_back() -> None:
    agent = Agent("a", "policy", "main", others=("judge", "critic"))

    judge = agent.playing("judge")

    assert judge is not None
    assert (judge.role, set(judge.others)) == ("judge", {"policy", "critic"})
    assert agent.playing("policy") is agent
    assert Agent("b", "critic", "main").playing("policy") is None


def test_a_role_named_twice_is_played_once() -> None:
    [agent] = Group(name="a", role=("judge", "judge")).agents("main")

    assert (agent.role, agent.others) == ("judge", ())


def test_the_anchor_is_the_bare_model() -> None:
    agent = Agent("a", "judge", "main", "g", ("policy",), "Be kind.", "w", 3, Sampling(top_k=2))

    assert anchor(agent) == Agent("anchor", "critic", "main", sampling=Sampling(top_k=2))
