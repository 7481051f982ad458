"""Rubric: agents write what a good answer has, and judges mark each of it alone, yes or no.

Compute as Teacher (arXiv:2509.14234, section 3) where nothing can be verified: the frozen anchor
takes criteria from the synthesised reference alone, and a grade is the share that is met.  Rubrics
as Rewards (arXiv:2507.17746): labelled weights; `explicit` is the weighted share, `implicit` one
mark for all.  HealthBench: signed points, over the most that can be earned; it clips the mean over
a benchmark at 0, we clip each grade, for a grade lies in [0, 1].  Ours: the papers' prompts were
not published, forms are JSON, judges see the question too, and P(yes) takes the place of a yes.

A rubric's first line is its version.  Scripts remember nothing, so a rubric is reused in one of two
ways: written down, lines of `episodes.parquet` serve all tasks of all cycles; or `source: question`
has the anchor, at temperature 0, write the same one whenever a task comes again (if its engine
repeats itself).  Left out: a written rubric for each task; and new wording for criteria that are
merged: of those that ask for the same, the first stays.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field, model_validator

from moot.agents.beside import Text
from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Settings

from .asking import TRIES, Wishes
from .judged import answered
from .judging.panel import counted
from .rubrics.criteria import Criterion, given, rubric, sound
from .rubrics.drafts import Weights
from .rubrics.marking import all_at_once, one_by_one
from .rubrics.proposals import Source, proposals
from .rubrics.review import reviewed
from .synthesis import CRITICS_OWN, Synthesis, frozen
from .talk import TalkChoice, most_standing, played, shown, standing
from .types import Script, Signal, Turn


class Rubric(Settings):
    """Policies talk; their last answers are graded by criteria that agents propose."""

    kind: Literal["rubric"] = "rubric"
    talk: TalkChoice = Synthesis()
    """What is said before it is graded."""
    source: Source = "reference"
    """What criteria are derived from: the talk's reference, the question alone, or the answers
    beside the question, where they differ."""
    question: Literal["hidden", "shown"] = "hidden"
    """Whether the question is shown beside the reference."""
    by: Literal["anchor", "critic"] = "anchor"
    """Who proposes criteria: the frozen initial policy (`anchor`), or every critic."""
    criteria: int = Field(default=5, ge=1, le=100)
    """How many criteria each proposer is asked for, at least."""
    most: int = Field(default=20, ge=1, le=100)
    """How many of the proposed criteria are used at most."""
    weights: Weights = "uniform"
    """What a proposed criterion is worth: 1; the points that Rubrics as Rewards gives to its label;
    or points given by the proposer, from -10 to 10."""
    review: bool = False
    """Whether critics remove repeated, unverifiable and gameable criteria."""
    written: Text = ""
    """A given rubric, in place of proposals: a line for each criterion, "[points] sentence"."""
    score: Literal["explicit", "implicit"] = "explicit"
    """Whether each criterion is judged by itself (`explicit`), or all by one mark from 1 to 10.
    Explicit scores are points earned over points possible, as in HealthBench, whose points are
    signed."""
    temperature: float = Field(default=0.0, ge=0, le=2)
    """Of the anchor; 0 takes the likeliest token each time. A critic uses the population's
    sampling."""
    max_tokens: int = Field(default=1024, ge=1)
    """The most tokens of the anchor's proposal. A critic uses the population's sampling."""

    @model_validator(mode="after")
    def _fits(self) -> "Rubric":
        if self.written:
            given(self.written)
            if self.review:
                raise ValueError("review: a written rubric is used as it is; leave one of them out")
            proposing = ("source", "by", "weights", "criteria", "most", "temperature", "max_tokens")
            self.refuse(*proposing, where="with `written`: nobody proposes a rubric then")
        elif self.source == "reference" and "reference" not in self.talk.yields:
            wrong = f"a talk of kind '{self.talk.kind}' gives no reference to take criteria from"
            raise ValueError(f"{wrong}; choose another talk, such as synthesis, or another source")
        if self.source != "reference":
            self.refuse("question", where=f"with `source: {self.source}`: it is shown")
        if self.by == "critic":
            self.refuse("temperature", "max_tokens", where=CRITICS_OWN)
        if self.criteria > self.most:
            raise ValueError(f"criteria: asks for {self.criteria}, of which {self.most} are used")
        return self

    @property
    def yields(self) -> frozenset[Signal]:
        """What the talk gives, and grades."""
        return frozenset[Signal]({"grades"}) | self.talk.yields

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one episode."""
        turns, talked = yield from played(self.talk(task, people))
        if self.written:
            found = used = given(self.written)
        else:
            found = yield from self._proposals(task, people, turns, talked.source)
            used = sound(found)
            if self.review:
                used = yield from reviewed(task, people.playing("critic"), used)
            used = used[: self.most]
        marked = one_by_one if self.score == "explicit" else all_at_once
        answers = standing(turns)
        seen, judges = shown(self.talk, task), people.playing("judge")
        verdicts, apart = yield from marked(seen, judges, answers, used)
        notes = {
            "criteria": float(len(used)),
            "rejected": float(len(found) - len(used)),
            "discrimination": apart,
        }
        graded = replace(
            talked,
            verdicts=(*talked.verdicts, *verdicts),
            rubric=rubric(used),
            notes={**talked.notes, **counted(verdicts), **notes},
        )
        return answered(task, graded, self.talk, answers)

    def _proposals(
        self, task: Task, people: Population, turns: Sequence[Turn], reference: int | None
    ) -> Wishes[list[Criterion]]:
        heard = self._source(task, turns, reference)
        if heard is None:
            return []
        hidden = self.source == "reference" and self.question == "hidden"
        return (
            yield from proposals(
                self._proposers(people),
                heard,
                question=None if hidden else task.prompt,
                source=self.source,
                n=self.criteria,
                most=self.most,
                weights=self.weights,
            )
        )

    def _source(
        self, task: Task, turns: Sequence[Turn], reference: int | None
    ) -> list[Turn] | None:
        """Return the turns that the proposers are shown; `None`: there is nothing to go by."""
        match self.source:
            case "question":
                return []
            case "reference":
                return None if reference is None else [turns[reference]]
            case "disagreement":
                answers = task.shuffled(standing(list(turns)), "rubric")
                return answers if len({turn.text for turn in answers}) > 1 else None

    def _proposers(self, people: Population) -> tuple[Agent, ...]:
        if self.by == "critic":
            return people.playing("critic")
        return (frozen(people, self.temperature, self.max_tokens),)

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks at most."""
        most = Counter(self.talk.calls(people))
        if not self.written:
            most.update(dict.fromkeys(self._proposers(people), TRIES))
            if self.review:
                most.update(dict.fromkeys(people.playing("critic"), TRIES))
        each = len(given(self.written)) if self.written else self.most
        each = TRIES * most_standing(self.talk, people) * (each if self.score == "explicit" else 1)
        most.update(dict.fromkeys(people.playing("judge"), each))
        return most
