"""Controls: what the protocol's tokens buy without it, counted by hand and held against theory."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from scipy import stats

from moot.agents.errors import Refusal
from moot.agents.population import Agent, Population
from moot.agents.questions import question, truth
from moot.agents.scripted import ScriptedEngine
from moot.agents.simulated import Simulated
from moot.agents.task import Task
from moot.agents.types import Completion, Request
from moot.experiments.cycle.controls import compared, controls, likeliest
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.consensus import Consensus
from moot.protocols.debate import Debate
from moot.protocols.journal import Journal
from moot.protocols.stage import Stage
from moot.protocols.types import Episode, Protocol
from moot.protocols.verifiers import VERIFIERS

PEOPLE = Population(tuple(Agent(f"a{i}", "policy", "main") for i in range(3)))
TASKS = [
    Task(f"t{i:04}", text, truth(text), VERIFIERS["choice"])
    for i in range(1500)
    for text in [question(i, 2)]
]


def measured(
    folder: Path, protocol: Protocol, engine: ScriptedEngine, n: int = len(TASKS)
) -> dict[str, float]:
    async def all_of() -> dict[str, float]:
        with Journal(folder / "journal.sqlite") as journal:
            stage = Stage({"main": engine}, journal, 0)
            found = await controls(stage, protocol, TASKS[:n], PEOPLE, cycle=2, out=folder)
        assert {metric.cycle for metric in found} == {2}
        return {metric.name.removeprefix("controls/"): metric.value for metric in found}

    return asyncio.run(all_of())


def spoken(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the turns of a control, of as many answers as the protocol's tokens buy."""
    found = max(folder.glob(f"controls-{name}-*"), key=lambda one: int(one.name.split("-")[-1]))
    return pq.read_table(found / "turns.parquet").to_pylist()


def test_controls_cost_no_more_than_the_protocol_and_nearly_as_much(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda request: "A " * 5)

    found = measured(tmp_path, Debate(rounds=4), engine, n=20)

    assert found["vote_tokens"] <= found["protocol_tokens"]
    assert found["reflection_tokens"] <= found["protocol_tokens"]
    once = 3 * (5 + len(TASKS[0].prompt.split()))
    assert found["protocol_tokens"] - found["vote_tokens"] < once
    assert len(spoken(tmp_path, "vote")) == 20 * 3 * (found["vote_tokens"] // once)


def test_a_debate_of_unbiased_updaters_loses_to_a_vote_of_as_many_tokens(tmp_path: Path) -> None:
    engine = ScriptedEngine(Simulated(competence=0.6).say)

    found = measured(tmp_path, Debate(rounds=3), engine)

    votes = len(spoken(tmp_path, "vote")) // len(TASKS)
    assert votes > 3
    assert found["single"] == pytest.approx(0.6, abs=0.02)
    assert found["over_vote"] < 0
    assert found["over_vote"] == pytest.approx(found["protocol"] - found["vote"])
    assert found["over_single"] == pytest.approx(found["protocol"] - found["single"])
    # Whoever checks its own answer without peers keeps it here: reflection is a smaller vote.
    n = len(spoken(tmp_path, "reflection")) // len(TASKS) // 2
    tail = float(stats.binom.sf(n // 2, n, 0.6))
    tie = float(stats.binom.pmf(n // 2, n, 0.6)) / 2 if n % 2 == 0 else 0.0
    assert found["reflection"] == pytest.approx(tail + tie, abs=0.04)


def test_a_vote_is_its_own_control(tmp_path: Path) -> None:
    found = measured(tmp_path, Consensus(), ScriptedEngine(Simulated(competence=0.7).say), n=200)

    assert found["vote_tokens"] == found["protocol_tokens"]


def test_the_likeliest_answer_is_that_of_the_greatest_mean_log_probability() -> None:
    def spoken(texts: list[str], logprobs: list[tuple[float, ...]]) -> Episode:
        episode = rehearse(Consensus(), PEOPLE, lambda turn, say: texts[turn], TASK)
        turns = tuple(
            replace(turn, completion=replace(turn.completion, logprobs=one))
            for turn, one in zip(episode.turns, logprobs, strict=True)
        )
        return replace(episode, turns=turns)

    long, short = (-0.1, -0.1, -0.1, -0.1), (-0.3,)
    assert likeliest([spoken(["42", "41", "?"], [long, short, (0.0,)])]) == {TASK.id: 1.0}
    assert likeliest([spoken(["42", "41", "?"], [short, long, (0.0,)])]) == {TASK.id: 0.0}
    assert likeliest([spoken(["42", "41", "?"], [short, short, short])]) == {TASK.id: 1.0}
    assert likeliest([spoken(["42", "41", "?"], [(), (), (0.0,)])]) == {TASK.id: 0.0}
    assert likeliest([spoken(["42", "41", "?"], [(), (), ()])]) == {}


def test_a_single_answer_is_as_right_as_all_that_vote_are_in_the_mean() -> None:
    texts = ["41", "42", "42"]
    one = [rehearse(Consensus(), PEOPLE, lambda turn, say: texts[turn], TASK)]

    found = {m.name: m.value for m in compared(one, one, one, cycle=0, seed=0)}

    assert (found["controls/single"], found["controls/vote"]) == (pytest.approx(2 / 3), 1)


def test_what_nobody_knows_or_not_all_have_played_is_neither_right_nor_wrong() -> None:
    answers = {"a": "42", "b": None, "c": "41"}
    tasks = [replace(TASK, id=name, answer=answer) for name, answer in answers.items()]
    every = [rehearse(Consensus(), PEOPLE, lambda turn, say: "42", task) for task in tasks]

    found = {m.name: m.value for m in compared(every, every[:2], every, cycle=0, seed=0)}

    one = [found[f"controls/{name}"] for name in ("protocol", "single", "vote", "reflection")]
    assert one == [1, 1, 1, 1]


def said_by_all(text: str, task: Task) -> Episode:
    return rehearse(Consensus(), PEOPLE, lambda turn, say: text, task)


def test_what_is_alike_in_all_tasks_is_not_taken_for_certain() -> None:
    tasks = [replace(TASK, id=str(i)) for i in range(8)]
    every = [said_by_all("42", task) for task in tasks]

    found = {m.name: (m.low, m.high) for m in compared(every, every, every, cycle=0, seed=0)}

    assert found["controls/protocol"] == pytest.approx((0.63, 1), abs=0.005)
    assert found["controls/over_vote"] == pytest.approx((-0.37, 0.37), abs=0.005)


def test_of_few_tasks_that_all_have_played_no_gain_is_claimed() -> None:
    tasks = [replace(TASK, id=str(i)) for i in range(8)]
    wrong, right = ([said_by_all(text, task) for task in tasks] for text in ("41", "42"))

    for played, told in ((8, {"protocol": 0, "vote": 1, "over_vote": -1}), (7, {"vote": 1})):
        every = compared(wrong, right, right[:played], cycle=0, seed=0)
        found = {m.name.removeprefix("controls/"): m.value for m in every}
        assert found | told == found
        assert ("over_vote" in found) == ("over_vote" in told)


def test_what_is_too_long_for_the_engine_is_left_out_and_counted(tmp_path: Path) -> None:
    def said(request: Request) -> str:
        asked, *more = request.prompt
        if more:
            raise Refusal("too long")
        return f"answer: {truth(asked.content)}"

    found = measured(tmp_path, Consensus(samples=4), ScriptedEngine(said), n=5)

    assert (found["protocol"], found["vote"], found["failed_episodes"]) == (1, 1, 5)
    assert "reflection" not in found


def test_tokens_are_matched_on_the_tasks_that_were_played_on_both_sides(tmp_path: Path) -> None:
    def said(request: Request) -> str:
        asked, *more = request.prompt
        if more and asked.content.startswith(TASKS[0].prompt):
            raise Refusal("too long")
        return "word " * (500 if asked.content.startswith(TASKS[0].prompt) else 1)

    found = measured(tmp_path, Debate(rounds=4), ScriptedEngine(said), n=4)

    assert 0.7 * found["protocol_tokens"] < found["vote_tokens"] <= found["protocol_tokens"]


def test_not_an_answer_is_lost_in_rounding(tmp_path: Path) -> None:
    replies = iter(range(10**6))
    engine = ScriptedEngine(lambda request: f"answer: {'AB'[next(replies) % 2]}")

    for samples in (3, 5, 7):
        folder = tmp_path / str(samples)
        folder.mkdir()
        found = measured(folder, Consensus(samples=samples), engine, n=13)
        assert found["vote_tokens"] == found["protocol_tokens"]


def test_what_has_no_answer_is_part_of_no_control(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda request: said(request))

    def said(request: Request) -> Completion:
        return Completion("?", "stop", 0, 0, 0, 0.0)

    found = measured(tmp_path, Debate(), engine, n=9)

    assert (found["protocol"], found["vote"], found["over_vote"]) == (0, 0, 0)
    assert "likeliest" not in found


def test_of_few_tasks_no_gain_is_claimed(tmp_path: Path) -> None:
    for n, told in ((7, False), (8, True)):
        folder = tmp_path / str(n)
        folder.mkdir()
        engine = ScriptedEngine(Simulated(competence=0.6).say)
        found = measured(folder, Debate(), engine, n=n)
        assert {"protocol", "single", "vote", "reflection"} <= found.keys()
        assert [name in found for name in ("over_single", "over_vote")] == [told, told]


def test_nobody_is_given_the_words_of_anothers_model(tmp_path: Path) -> None:
    engines = {name: ScriptedEngine(lambda _, said=name: f"answer: {said}") for name in "AB"}
    people = Population(tuple(Agent(name, "policy", name) for name in "AB"))

    async def play() -> None:
        with Journal(tmp_path / "journal.sqlite") as journal:
            stage = Stage(engines, journal, 0)
            await controls(stage, Debate(rounds=4), TASKS[:5], people, cycle=0, out=tmp_path)

    asyncio.run(play())

    turns = spoken(tmp_path, "vote")
    assert len(turns) > 10
    assert all(turn["answer"] == turn["agent"] for turn in turns)
