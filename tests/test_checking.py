"""Checking: a verifier that takes its time is asked once about an answer, and stalls nobody."""

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from staged import PEOPLE, Voice, play, tasks

from moot.agents.errors import MootError
from moot.agents.task import Task
from moot.agents.types import Completion, Request
from moot.experiments.cycle.evaluation import evaluate
from moot.experiments.cycle.talk import talk
from moot.protocols.consensus import Consensus
from moot.protocols.debate import Debate
from moot.protocols.journal import Journal
from moot.protocols.stage import Failure, Stage, StageSettings
from moot.protocols.types import Episode
from moot.training.methods.laser import LaSeR

PATIENCE_S = 30.0
"""Only what is broken waits so long."""


@dataclass(frozen=True, eq=False)
class Sandbox:
    """A verifier that remembers what it checked, and in which threads."""

    checked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    threads: set[str] = field(default_factory=set[str])
    quick: bool = False

    def read(self, text: str) -> str | None:
        return text

    def score(self, answer: str, expected: str) -> float:
        self.checked.append((answer, expected))
        self.threads.add(threading.current_thread().name)
        return float(answer == expected)


def spoken(request: Request) -> str:
    return f"{request.prompt[-1].content} {request.seed % 3}"


def played(folder: Path, verifier: Sandbox) -> None:
    """Let a debate be taught, written and measured, and then a held-out evaluation."""
    about = [Task(f"t{i}", f"{i}?", f"{i}? 0", verifier) for i in range(8)]

    async def phases(stage: Stage) -> None:
        learnt: list[Episode] = []
        method = LaSeR(reward="verified")
        await talk(
            stage,
            Debate(rounds=2),
            about[:4],
            PEOPLE,
            cycle=0,
            out=folder / "cycle-000",
            hear=lambda episode: learnt.extend([episode] if method.examples(episode) else []),
        )
        assert len(learnt) == 4
        await evaluate(
            stage, about[4:], PEOPLE, 4, cycle=0, out=folder / "held-out-000", apart=True
        )

    with Journal(folder / "journal.sqlite") as journal:
        asyncio.run(phases(Stage({"main": Voice(spoken)}, journal, 7)))


def test_an_answer_is_checked_once_whoever_wants_to_know(tmp_path: Path) -> None:
    verifier = Sandbox()

    played(tmp_path, verifier)

    assert len({expected for _, expected in verifier.checked}) == 8
    assert sorted(verifier.checked) == sorted(set(verifier.checked))


def test_it_is_checked_in_other_threads_than_the_event_loops(tmp_path: Path) -> None:
    verifier = Sandbox()

    played(tmp_path, verifier)

    assert threading.current_thread().name not in verifier.threads


def test_what_is_quick_is_checked_at_once_where_it_is_asked(tmp_path: Path) -> None:
    verifier = Sandbox(quick=True)

    played(tmp_path, verifier)

    assert verifier.threads == {threading.current_thread().name}
    assert sorted(verifier.checked) == sorted(set(verifier.checked))


def test_while_one_episode_is_checked_the_others_go_on(tmp_path: Path) -> None:
    checking, spoke = threading.Event(), threading.Event()

    class Waits(Sandbox):
        def score(self, answer: str, expected: str) -> float:
            if expected == "0":
                checking.set()
                assert spoke.wait(PATIENCE_S), "the other episode stands still"
            return super().score(answer, expected)

    class Other(Voice):
        async def generate(self, request: Request) -> Completion:
            if request.prompt[-1].content == "1?":
                await asyncio.to_thread(checking.wait, PATIENCE_S)
                spoke.set()
            return await super().generate(request)

    async def both(stage: Stage) -> list[bool | None]:
        about = [Task(t.id, t.prompt, t.answer, Waits()) for t in tasks(2)]
        found = [one async for one in stage.play(Consensus(), about, PEOPLE, "x")]
        return [one.correct for one in found if isinstance(one, Episode)]

    with Journal(tmp_path / "j") as journal:
        voice = Other(lambda request: request.prompt[-1].content.rstrip("?"))
        assert asyncio.run(both(Stage({"main": voice}, journal, 7))) == [True, True]


@dataclass(frozen=True)
class Fallen:
    """A verifier that raises an error about what is 1."""

    reads: bool

    def read(self, text: str) -> str | None:
        if not self.reads:
            self.score(text, "")
        return text

    def score(self, answer: str, expected: str) -> float:
        if answer == "1?":
            raise KeyError("sandbox")
        return float(answer == expected)


@pytest.mark.parametrize(
    ("reads", "why"),
    [
        (True, "verifier Fallen on the answer '1?' to task t1: KeyError: 'sandbox'"),
        (False, "verifier Fallen on the reply '1?' to task t1: KeyError: 'sandbox'"),
    ],
)
def test_an_episode_whose_verifier_raises_fails_alone_and_says_on_what(
    tmp_path: Path, reads: bool, why: str
) -> None:
    about = [Task(t.id, t.prompt, "0?", Fallen(reads)) for t in tasks(3)]
    settings = StageSettings(max_failed_episodes=1)

    found = play(tmp_path / "a", Voice(), Consensus(), about=about, settings=settings)
    assert [type(one) for one in found] == [Episode, Failure, Episode]
    assert Failure("cycle-000/t1", why) in found
    with pytest.raises(MootError) as caught:
        play(tmp_path / "a", Voice(), Consensus(), about=about)
    assert str(caught.value) == (
        "cycle-000: 1 episode failed, 0 may (stage.max_failed_episodes); the last, task t1 "
        f"('1?'): {why}"
    )


@dataclass(frozen=True)
class Near:
    """A verifier that tells how near a number comes."""

    def read(self, text: str) -> str | None:
        return text

    def score(self, answer: str, expected: str) -> float:
        return 1 - abs(int(answer) - int(expected)) / 100


def test_an_episode_whose_verifier_takes_longer_than_it_may_fails(tmp_path: Path) -> None:
    given_up = threading.Event()

    @dataclass(frozen=True, eq=False)
    class Hanging(Sandbox):
        def score(self, answer: str, expected: str) -> float:
            given_up.wait(PATIENCE_S)
            return 1.0

    async def phases(stage: Stage) -> list[Episode | Failure]:
        about = [Task("t", "1?", "1", Hanging())]
        found = [one async for one in stage.play(Consensus(), about, PEOPLE, "x")]
        given_up.set()
        return found

    with Journal(tmp_path / "journal.sqlite") as journal:
        settings = StageSettings(episode_s=0.5, max_failed_episodes=1)
        [failed] = asyncio.run(phases(Stage({"main": Voice(spoken)}, journal, 7, settings)))

    assert isinstance(failed, Failure)
    assert failed.why == "it wasn't over within 0.5 s (stage.episode_s)"


def test_what_is_nearly_right_is_wrong() -> None:
    task = Task("t", "?", "42", Near())

    assert [task.correct(answer) for answer in ("41", "42", "0", None)] == [
        False,
        True,
        False,
        None,
    ]
