"""Judges by hand: who judges, how, and what of it the tests look at."""

from moot.agents.population import Agent, Population
from moot.agents.types import Completion
from moot.protocols.conformance import rehearse
from moot.protocols.judged import Judged
from moot.protocols.types import Episode, Say

POLICIES = tuple(Agent(f"p{i}", "policy", "main") for i in range(3))
JUDGE = Agent("j", "judge", "main")
PEOPLE = Population((*POLICIES, JUDGE))
GOODNESS = {"41": 0.2, "42": 0.9, "43": 0.5}


def sure(*shares: float) -> Completion:
    """Return a completion of a judge whose engine tells how likely each choice was."""
    return Completion("?", "stop", 0, 1, 1, 0.0, shares=shares)


def better(say: Say, bias: float = 0.0) -> Completion:
    """Return what a judge with a taste for the first place says of two replies."""
    first, second = (GOODNESS[text] for text in shown(say))
    p = first / (first + second)
    return sure(p + bias * (1 - p), (1 - p) * (1 - bias))


def shown(say: Say) -> list[str]:
    """Return the replies that a judge sees, in the order of its prompt."""
    return [part.split("\n")[1] for part in say.text.split("<reply ")[1:]]


def judged(
    protocol: Judged, *answers: str, bias: float = 0.0, people: Population = PEOPLE
) -> Episode:
    """Return the episode in which the policies answer so and a judge compares them."""
    return rehearse(
        protocol,
        people,
        lambda turn, say: better(say, bias) if say.choices else answers[turn],
    )


def panel(episode: Episode, kind: str) -> dict[tuple[int, int | None], float | None]:
    return {
        (v.of, v.over): v.score for v in episode.outcome.verdicts if v.by is None and v.kind == kind
    }
