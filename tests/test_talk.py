"""Talk: what is measured of it, and what is over stays as it was."""

import asyncio
from pathlib import Path

from pupils import NUMBER, PUPILS, TASKS, value

from moot.agents.errors import Fault
from moot.agents.population import Agent, Population
from moot.agents.scripted import ScriptedEngine
from moot.agents.task import Task
from moot.agents.types import Completion, Request
from moot.experiments.cycle.talk import CHANGED, Notes, noted, talk
from moot.protocols.conformance import rehearse
from moot.protocols.consensus import Consensus
from moot.protocols.debate import Debate
from moot.protocols.journal import Journal
from moot.protocols.sample import Sample
from moot.protocols.stage import Stage, StageSettings
from moot.protocols.types import Episode, Outcome, Turn


def test_a_talk_that_is_over_stays_as_it_was_though_a_failure_would_now_pass(
    tmp_path: Path,
) -> None:
    """What is learnt must not change while it is being learnt."""
    down, asked = ["1 + 2?"], list[str]()

    def reply(request: Request) -> str:
        asked.append(request.prompt[-1].content)
        if asked[-1] in down:
            raise Fault("503")
        return "2"

    async def play() -> tuple[list[str], float]:
        with Journal(tmp_path / "journal.sqlite") as journal:
            settings = StageSettings(max_failed_episodes=1)
            stage = Stage({"main": ScriptedEngine(reply)}, journal, 0, settings)
            people = Population(PUPILS[2:])
            said: list[str] = []
            await talk(
                stage,
                Sample(),
                TASKS,
                people,
                cycle=0,
                out=tmp_path / "cycle-000",
                hear=lambda episode: said.append(episode.id),
            )
            return said, value(journal.metrics(), "talk/failed_episodes")

    first = asyncio.run(play())
    down.clear()
    asked.clear()

    assert first == (["cycle-000/t1"], 1.0)
    assert asyncio.run(play()) == first
    assert asked == []


def test_what_the_talk_measures_is_a_mean_over_episodes() -> None:
    def episode(
        task: Task,
        texts: list[str],
        reference: str | None,
        majority: str | None,
        cut: int = 0,
        **notes: float,
    ) -> Episode:
        turns = tuple(
            Turn(
                index=i,
                round=0,
                agent=PUPILS[0],
                prompt=(),
                completion=Completion(text, "length" if i < cut else "stop", 0, 1, 1, 0.0),
                heard=(),
                answer=NUMBER.read(text),
            )
            for i, text in enumerate(texts)
        )
        answer = None if reference is None else NUMBER.read(reference)
        return Episode("e", task, "p", turns, Outcome((), reference, answer, majority, notes=notes))

    notes = Notes({"reference"})
    notes.add(episode(TASKS[0], ["2", "2", "5", "?"], "2", "5", cut=1, tied=1.0))
    notes.add(episode(TASKS[1], ["2", "2", "3", "3"], None, "2"))
    found = {m.name: m.value for m in notes.metrics(cycle=1)}

    assert found == {
        "talk/unreadable": 0.125,
        "talk/cut": 0.125,
        "talk/accuracy": 0.5,
        "talk/majority_accuracy": 0.5,
        "talk/reference_accuracy": 0.5,  # the second episode has none, which isn't right
        "talk/reference_unreadable": 0.5,
        "talk/agreement": (2 / 3 + 1 / 2) / 2,  # 2 of 3 readable answers, 2 of 4
        "talk/reference_differs": 1.0,
        "talk/reference_right_when_differs": 1.0,
        "talk/majority_right_when_differs": 0.0,
        "talk/tied": 1.0,
    }


def test_what_hearing_others_changed_is_a_share_of_all_policies() -> None:
    people = Population(tuple(Agent(f"p{i}", "policy", "main") for i in range(4)))
    texts = ["42", "42", "41", "?", "42", "41", "42", "41"]
    debate = rehearse(Debate(), people, lambda turn, say: texts[turn])

    found = noted(debate, {"reference"})

    assert (found["first_accuracy"], found["first_majority_accuracy"]) == (0.5, 1.0)
    assert (found["corrected"], found["corrupted"], found["accuracy"]) == (0.25, 0.25, 0.5)
    assert found["unreadable"] == 0  # the answers that stand at the end


def test_where_an_episode_ends_at_once_nothing_changed() -> None:
    people = Population(tuple(Agent(f"p{i}", "policy", "main") for i in range(2)))
    notes, once = Notes({"reference"}), Notes({"reference"})
    for texts in (["41", "42", "42", "42"], ["42"] * 2, ["42"] * 2, ["41"] * 2):
        debate = Debate(rounds=2, until_agreed=True)
        notes.add(rehearse(debate, people, lambda turn, say, texts=texts: texts[turn]))
        once.add(rehearse(Consensus(), people, lambda turn, say, texts=texts: texts[turn]))

    found = {m.name: m.value for m in notes.metrics(cycle=0)}
    assert found["talk/first_accuracy"] == (0.5 + 1 + 1 + 0) / 4
    assert found["talk/accuracy"] == (1 + 1 + 1 + 0) / 4
    assert (found["talk/corrected"], found["talk/corrupted"]) == (0.5 / 4, 0)
    #  Where nobody answers twice there are no first answers.
    assert not {m.name for m in once.metrics(cycle=0)} & {f"talk/{name}" for name in CHANGED}
