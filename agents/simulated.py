"""Simulated: agents of known competence and temper, without a model.

Protocols can be held against theory, and experiments planned, before GPU hours are spent.  An agent
has an opinion on every question of `question`: it draws one when it answers alone, and moves when
it hears others.  What it says depends on the request alone, so runs replay like any other.

Where there are options to choose from it is right alone with probability `competence`.  Having
heard others it keeps its answer with probability `stubbornness`, follows the plurality before it
with `conformity`, and else takes one of the answers before it, its own among them, at random: the
voter model, which is a martingale (arXiv:2508.17536).

Where a number is asked for it is off by a normal error alone.  Having heard others it moves to
x(t+1) = s·mean(own, heard) + (1 - s)·x(0), with s its `susceptibility`: DeGroot (1974) at 1, and
below that Friedkin and Johnsen (1990).

How it judges is told in questions.py.  How likely its words are it doesn't tell.
"""

import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Literal

from pydantic import Field, model_validator

from .engine import Engine, Limits
from .price import Price
from .questions import LETTERS, QUESTION, fits, judged, opinions, options, read, truth
from .scripted import ScriptedEngine
from .types import Completion, Request, Settings

UNCLEAR = "I can't tell."


class Simulated(Settings):
    """Agents of known competence and behaviour, without a model."""

    kind: Literal["simulated"] = "simulated"
    competence: float = Field(default=0.6, ge=0, le=1)
    """How likely an agent alone is right, as a judge too; otherwise all wrong answers are equally
    likely."""
    bias: float = Field(default=0.0, ge=0, le=1)
    """How likely it takes the first option or reply, whatever is asked."""
    stubbornness: float = Field(default=0.0, ge=0, le=1)
    """How likely it keeps its own answer after hearing others."""
    conformity: float = Field(default=0.0, ge=0, le=1)
    """How likely it takes the commonest answer in its prompt, its own among them."""
    spread: float = Field(default=0.1, ge=0)
    """The standard deviation of the number that it says alone."""
    susceptibility: float = Field(default=1.0, ge=0, le=1)
    """How far it moves from its first number towards the mean of those in its prompt."""
    noise: float = Field(default=0.0, ge=0, le=1)
    """How likely it says nothing that can be read."""
    latency_s: float = Field(default=0.0, ge=0)
    """How long an answer takes."""
    limits: Limits = Limits(concurrency=100_000)
    """How hard it may be driven, and how patiently."""
    price: Price | None = None
    """What its tokens cost; left out: nothing is said of cost."""

    @model_validator(mode="after")
    def _shares(self) -> "Simulated":
        if self.stubbornness + self.conformity > 1:
            raise ValueError("stubbornness and conformity add up to more than 1")
        return self

    @property
    def trains(self) -> str | None:
        """Nothing: there is no model."""
        return None

    @property
    def precision(self) -> None:
        """None: there is no model."""
        return

    @property
    def deadline_s(self) -> float | None:
        """None, if it isn't set: what answers in this process can't be lost on the way."""
        return self.limits.deadline_s(None)

    @property
    def varies(self) -> str:
        """It doesn't."""
        return ""

    @asynccontextmanager
    async def open(self, logs: Path, adapters: int = 0) -> AsyncGenerator[Engine]:
        """Give the engine; it writes no logs."""
        # Made-up likelihoods would give figures in a run's controls that look like findings.
        yield ScriptedEngine(self.reply, self.latency_s, logprobs=False)

    def reply(self, request: Request) -> str | Completion:
        """Return what such an agent says, or which of some choices it makes and how surely."""
        if not request.choices:
            return self.say(request)
        rng = Random(request.seed)
        if rng.random() < self.noise:
            return UNCLEAR
        asked = "\n".join(message.content for message in request.prompt)
        shares = judged(asked, request.choices, self.competence, self.bias)
        said, words = rng.choices(request.choices, shares)[0], len(asked.split())
        return Completion(said, "stop", 0, words, 1, self.latency_s, shares=shares)

    def say(self, request: Request) -> str:
        """Return what such an agent says in words of its own."""
        rng = Random(request.seed)
        if rng.random() < self.noise:
            return UNCLEAR
        found = next((q for m in request.prompt if (q := QUESTION.search(m.content))), None)
        own = [read(m.content) for m in request.prompt if m.role == "assistant"]
        if found is not None:  # an opinion of another kind is none
            own = [said if fits(said, found) else None for said in own]
        heard = [
            said
            for said in opinions(request.prompt[-1].content)
            if found is None or fits(said, found)
        ]
        if heard:
            said = self._moved(own, heard, rng)
        elif found is None:
            said = None
        else:
            said = own[-1] if own and own[-1] else self._alone(found, rng)
        return UNCLEAR if said is None else f"answer: {said}"

    def _alone(self, found: re.Match[str], rng: Random) -> str:
        right, among = str(truth(found[0])), options(found)
        if not among:
            return repr(float(right) + rng.gauss(0, self.spread))
        if rng.random() < self.bias:
            return among[0]
        if rng.random() < self.competence or len(among) == 1:
            return right
        return rng.choice([option for option in among if option != right])

    def _moved(self, own: list[str | None], heard: list[str], rng: Random) -> str:
        """Return what it says having heard others; what it said itself may be unclear to it."""
        mine = own[-1] if own else None
        before = [*([mine] if mine else []), *heard]
        if len({one in LETTERS for one in before}) > 1:  # no question says which kind counts
            return rng.choice(before)
        if before[0] not in LETTERS:
            mean, first = fmean(map(float, before)), next((x for x in own if x), None)
            s = self.susceptibility if first else 1.0
            return repr(s * mean + (1 - s) * float(first or 0))
        drawn = rng.random()
        if mine and drawn < self.stubbornness:
            return mine
        if drawn < self.stubbornness + self.conformity:
            return Counter(before).most_common(1)[0][0]
        return rng.choice(before)
