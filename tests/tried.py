"""Trials, played by hand."""

from collections.abc import Callable

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Completion
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.trial import Trial
from moot.protocols.types import Episode, Say

POLICIES = tuple(Agent(f"p{i}", "policy", "main") for i in range(3))
JUDGE = Agent("j", "judge", "main")
PEOPLE = Population((*POLICIES, JUDGE))


def sure(*shares: float) -> Completion:
    return Completion("?", "stop", 0, 1, 1, 0.0, shares=shares)


def tried(
    trial: Trial,
    *answers: str,
    judge: Callable[[Say], Completion | str],
    people: Population = PEOPLE,
    task: Task = TASK,
) -> Episode:
    """Return a trial of these answers; speeches are numbered, and `judge` decides."""

    def reply(turn: int, say: Say) -> str | Completion:
        if say.choices:
            return judge(say)
        return answers[turn] if turn < len(answers) else f"speech {turn}"

    return rehearse(trial, people, reply, task)


def for_42(say: Say) -> Completion:
    """Be for 42, and lean to X by .1."""
    return sure(0.9, 0.1) if x_is(say) == "42" else sure(0.3, 0.7)


def x_is(say: Say) -> str:
    """Return the answer that X stands for, found by its advocate's name alone."""
    name = say.text.split("X, advocate ")[1][0]
    return say.text.split(f'by="{name}">\n')[1].split("\n")[0]


def asked(episode: Episode, turn: int) -> str:
    return episode.turns[turn].prompt[-1].content
