"""The stage: each episode at its own pace, journalled, seeded, and honest about failure."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from staged import PEOPLE, Voice, play, tasks

from moot.agents.errors import EngineError, Fault, MootError, Refusal
from moot.agents.task import Task
from moot.agents.types import Completion, Request
from moot.protocols.consensus import Consensus
from moot.protocols.journal import Journal
from moot.protocols.stage import AHEAD, Failure, Stage, StageSettings, seed
from moot.protocols.synthesis import Synthesis
from moot.protocols.types import Episode
from moot.protocols.verifiers import VERIFIERS


def test_every_task_becomes_one_episode(tmp_path: Path) -> None:
    episodes = play(tmp_path / "j", Voice(), Synthesis())

    assert sorted(e.id for e in episodes) == [f"cycle-000/t{i}" for i in range(3)]
    for episode in episodes:
        assert isinstance(episode, Episode)
        assert [turn.round for turn in episode.turns] == [0, 0, 1]
        assert episode.turns[2].heard == (0, 1)


def test_a_replay_asks_nobody_and_gives_the_same_episodes(tmp_path: Path) -> None:
    first = play(tmp_path / "j", Voice(), Synthesis())
    silent = Voice()
    second = play(tmp_path / "j", silent, Synthesis())

    assert silent.asked == []
    assert {e.id: e for e in first} == {e.id: e for e in second}


def test_a_changed_turn_says_what_it_is_told_and_nobody_is_asked(tmp_path: Path) -> None:
    voice = Voice()

    async def first(stage: Stage) -> Episode:
        found = [e async for e in stage.play(Synthesis(), tasks(1), PEOPLE, "cycle-000")]
        assert isinstance(found[0], Episode)
        return found[0]

    with Journal(tmp_path / "j") as journal:
        changes = {("cycle-000/t0", 0): "it is 77", ("cycle-000/t1", 0): "of another"}
        episode = asyncio.run(first(Stage({"main": voice}, journal, 7, changes=changes)))

    assert [turn.completion.tokens_out for turn in episode.turns] == [0, 1, 1]
    assert (episode.turns[0].text, episode.turns[0].answer) == ("it is 77", "77")
    assert "it is 77" in episode.turns[2].prompt[-1].content
    assert len(voice.asked) == 2


def test_seeds_depend_on_the_place_alone() -> None:
    assert seed(1, "e", 0) == seed(1, "e", 0)
    assert len({seed(1, "e", 0), seed(2, "e", 0), seed(1, "f", 0), seed(1, "e", 1)}) == 4
    assert 0 <= seed(1, "e", 0) < 2**63


def test_an_episode_does_not_depend_on_its_neighbours(tmp_path: Path) -> None:
    alone, among = Voice(), Voice()
    play(tmp_path / "a", alone, Consensus(), n=1)
    play(tmp_path / "b", among, Consensus(), n=5)

    assert set(alone.asked) <= set(among.asked)


def test_no_more_episodes_are_open_than_may(tmp_path: Path) -> None:
    voice = Voice()
    play(tmp_path / "j", voice, Consensus(), n=20, settings=StageSettings(open_episodes=3))

    assert voice.most <= 3 * 2


def broken(error: Exception) -> Callable[[Request], str]:
    def reply(request: Request) -> str:
        if request.prompt[-1].content == "1?":
            raise error
        return "7"

    return reply


def test_one_failed_episode_ends_the_run_unless_it_may_fail(tmp_path: Path) -> None:
    voice = Voice(broken(Fault("engine 'main': gone")))
    with pytest.raises(
        MootError,
        match=r"^cycle-000: 1 episode failed, 0 may \(.*\); the last, task t1 \('1\?'\): "
        r"engine 'main': gone$",
    ):
        play(tmp_path / "a", voice, Consensus())

    episodes = play(
        tmp_path / "b", voice, Consensus(), settings=StageSettings(max_failed_episodes=1)
    )
    assert [e.id for e in episodes if isinstance(e, Failure)] == ["cycle-000/t1"]
    assert len(episodes) == 3


def test_a_long_question_that_failed_is_named_by_how_it_begins_in_one_line(tmp_path: Path) -> None:
    def reply(request: Request) -> str:
        raise Refusal("a prompt of 27042 tokens leaves no room")

    task = Task("t7", "Read this:\n\n" + "word " * 20_000, None, VERIFIERS["exact"])
    begun = "'Read this: word word word word word word word word word wor…'"
    with pytest.raises(MootError) as caught:
        play(tmp_path / "j", Voice(reply), Consensus(), about=[task])

    assert str(caught.value) == (
        "cycle-000: 1 episode failed, 0 may (stage.max_failed_episodes); the last, task t7 "
        f"({begun}): a prompt of 27042 tokens leaves no room"
    )


def test_a_refused_request_fails_its_episode_alone(tmp_path: Path) -> None:
    def reply(request: Request) -> str:
        if request.prompt[-1].content == "1?":
            raise Refusal("a prompt of 9999 tokens")
        return "1"

    settings = StageSettings(max_failed_episodes=1)
    played = play(tmp_path / "j", Voice(reply), Consensus(), settings=settings)

    assert Failure("cycle-000/t1", "a prompt of 9999 tokens", refused=True) in played
    assert len(played) == 3


def test_an_episode_that_takes_too_long_fails_alone_and_goes_on_from_what_was_said(
    tmp_path: Path,
) -> None:
    class Slow(Voice):
        async def generate(self, request: Request) -> Completion:
            said = await super().generate(request)
            if len(self.asked) <= 6 and request.prompt[-1].content == "1?":
                await asyncio.sleep(30)
            return said

    voice, settings = Slow(), StageSettings(max_failed_episodes=1, episode_s=0.3)
    found = play(tmp_path / "a", voice, Consensus(), settings=settings)
    assert [type(one) for one in found] == [Episode, Failure, Episode]
    assert isinstance(found[1], Failure)
    assert found[1].why == "it wasn't over within 0.3 s (stage.episode_s)"
    with pytest.raises(MootError, match=r"1 episode failed.*wasn't over within 0\.2 s"):
        play(tmp_path / "b", Slow(), Consensus(), settings=StageSettings(episode_s=0.2))
    again = play(tmp_path / "a", voice, Consensus(), settings=settings)
    assert all(isinstance(one, Episode) for one in again)
    assert len(voice.asked) == 6 + 2  # the others came from the journal


def test_what_was_said_before_a_failure_is_not_asked_again(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no such model"):
        play(tmp_path / "j", Voice(broken(EngineError("no such model"))), Consensus())
    again = Voice(lambda request: "7")
    play(tmp_path / "j", again, Consensus())

    assert len(again.asked) < 6
    assert "1?" in {request.prompt[-1].content for request in again.asked}


def test_episodes_come_in_the_order_of_their_tasks_and_none_runs_far_ahead(tmp_path: Path) -> None:
    begun: list[str] = []
    open_ = asyncio.Event()

    class Slow(Voice):
        async def generate(self, request: Request) -> Completion:
            asked = request.prompt[-1].content
            begun.append(asked)
            if asked == "0?":
                await open_.wait()
            return await super().generate(request)

    async def watched(stage: Stage) -> list[str]:
        found: list[str] = []

        async def read() -> None:
            async for episode in stage.play(Consensus(), tasks(40), PEOPLE, "x"):
                found.append(episode.id)

        reading = asyncio.create_task(read())
        for _ in range(2000):
            await asyncio.sleep(0)
        #  The first is not over: none is told, and 2 * AHEAD at most were begun.
        assert found == []
        assert len(set(begun)) == 2 * AHEAD
        open_.set()
        await reading
        return found

    with Journal(tmp_path / "j") as journal:
        stage = Stage({"main": Slow()}, journal, 7, StageSettings(open_episodes=2))
        assert asyncio.run(watched(stage)) == [f"x/t{i}" for i in range(40)]
