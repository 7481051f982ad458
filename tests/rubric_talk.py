"""Rubrics played by hand: who says what to whom, for the tests of what comes of it."""

import json
import re
from collections.abc import Callable

from moot.agents.population import Agent, Population
from moot.agents.types import Completion
from moot.protocols.conformance import rehearse
from moot.protocols.rubric import Rubric
from moot.protocols.types import Episode, Say, Turn

POLICIES = tuple(Agent(f"p{i}", "policy", "main") for i in range(2))
CRITICS = tuple(Agent(f"c{i}", "critic", "main") for i in range(3))
JUDGE = Agent("j0", "judge", "main")
PEOPLE = Population((*POLICIES, *CRITICS, JUDGE))
ASKED = "criteria that a good answer to the question must meet"
WRITTEN = "[10] Calls for help\n[4] Is calm\n[-6] Names a dose"

Judge = Callable[[str, str], str | tuple[float, ...]]
"""What a judge says to a prompt, of a criterion: a text, or how likely each choice is."""


def proposal(*texts: str) -> str:
    return json.dumps({"criteria": [{"text": text} for text in texts]})


def held(
    rubric: Rubric,
    judge: Judge = lambda prompt, criterion: "yes",
    people: Population = PEOPLE,
    proposals: tuple[str, ...] = (proposal("Says 42", "Is short"),),
    review: Callable[[int], str] = lambda nth: "",
    answers: tuple[str, ...] = ("I say 42", "No idea: 41", "so 42", "43"),
) -> Episode:
    """Return the episode in which proposers, critics, judges and policies speak so, in turn."""
    said = {"proposed": 0, "reviewed": 0, "answered": 0}

    def nth(kind: str) -> int:
        said[kind] += 1
        return said[kind] - 1

    def reply(turn: int, say: Say) -> str | Completion:
        if say.choices:
            criterion = re.search(r'<criterion number="1">\n(.*)\n</criterion>', say.text)
            found = judge(say.text, criterion[1] if criterion else "")
            if isinstance(found, str):
                return found
            return Completion("", "stop", 0, 1, 1, 0.0, shares=found)
        if "should not be used" in say.text:
            return review(nth("reviewed"))
        if ASKED in say.text:
            return proposals[nth("proposed") % len(proposals)]
        return answers[nth("answered") % len(answers)]

    return rehearse(rubric, people, reply)


def common(one: str, other: str) -> str:
    """Return what both begin with."""
    ends = (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return one[: next(ends)]


def grades(episode: Episode) -> list[float | None]:
    return [v.score for v in episode.outcome.verdicts if v.kind == "grade" and v.by is None]


def proposers(episode: Episode) -> list[Turn]:
    return [turn for turn in episode.turns if ASKED in turn.prompt[-1].content]
