"""Talk that may stand inside another protocol: what was answered there is then judged.

A script is a generator, so one is played inside another by `yield from`; nothing else is needed.
"""

from typing import Annotated

from pydantic import Field

from moot.agents.errors import MootError
from moot.agents.own_kind import OrOwn
from moot.agents.population import Population
from moot.agents.task import Task

from .asking import Wishes
from .consensus import Consensus
from .critique import Critique
from .debate import Debate
from .mixture import Mixture
from .moderated import Moderated
from .reconcile import ReConcile
from .reflection import Reflection
from .sample import Sample
from .selection import Selection
from .synthesis import Synthesis
from .trial import Trial
from .types import Outcome, Protocol, Script, Turn

Talk = (
    Sample
    | Consensus
    | Selection
    | Synthesis
    | Mixture
    | Debate
    | ReConcile
    | Reflection
    | Critique
    | Moderated
    | Trial
)
TalkChoice = Annotated[Talk, Field(discriminator="kind"), OrOwn("protocol", Protocol)]


def played(script: Script) -> Wishes[tuple[list[Turn], Outcome]]:
    """Play `script` inside another one; return its turns beside its outcome."""
    turns: list[Turn] = []
    try:
        wishes = next(script)
        while True:
            said = yield wishes
            turns += said
            wishes = script.send(said)
    except StopIteration as end:
        return turns, end.value


def shown(talk: TalkChoice, task: Task) -> Task:
    """Return the task as who judges the talk may see it: a trial may keep its source from them."""
    return talk.shown(task) if isinstance(talk, Trial) else task


def standing(turns: list[Turn]) -> list[Turn]:
    """Return the policies' last answers: each one's turns of the last round it spoke in.

    Where a person wouldn't say anything there is no answer.
    """
    said = [t for t in turns if t.agent.role == "policy" and t.completion.finish != "declined"]
    last = {turn.agent.name: turn.round for turn in said}
    return [turn for turn in said if turn.round == last[turn.agent.name]]


def most_standing(talk: TalkChoice, people: Population) -> int:
    """Return how many answers stand at most when the talk is over: see `standing`.

    Raises:
        MootError: one policy takes both sides of a debate; what it said first wouldn't stand.
    """
    if isinstance(talk, Moderated) and len(people.playing("policy")) == 1:
        raise MootError(
            "a moderated debate in which one policy takes both sides can't be judged: only its "
            "last speech stands; give it two policies, or let the protocol be the debate itself"
        )
    return getattr(talk, "samples", 1) * len(people.playing("policy"))
