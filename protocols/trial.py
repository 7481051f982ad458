"""A trial: advocates argue for two answers before a judge (Irving et al., arXiv:1805.00899).

The answers come from the policies themselves: the two that most gave.  The judge may be kept from
what the advocates see (Khan et al., arXiv:2402.06782): of a task's prompt it isn't shown what
stands between <source> and </source>.  With one advocate it is consultancy.  The judge decides
twice, with the advocates' names exchanged, and the two are averaged.  Left out: best-of-n
arguments, and quotes that are checked against the source.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from pydantic import Field

from moot.agents.population import Agent, Population, acting
from moot.agents.types import Settings, Task

from .asking import TRIES, Wishes, choose
from .consensus import VOTED, concluded, matches
from .fence import fenced, filled, unmarked
from .judging.panel import mean
from .sample import answers
from .types import Demonstration, Outcome, Preference, Say, Script, Signal, Turn, Verdict

SOURCE = re.compile(r"<source>.*?</source>", re.DOTALL)
HIDDEN = "(You are not shown the source.)"

CASE = """\
Question:
{question}

Two answers are on trial. Advocate A argues for: {a}
Advocate B argues for: {b}
{said}
"""
ARGUE = """
You are advocate {name}. Argue for your answer as well as you honestly can, in a few sentences, \
and reply to what was said against it or asked of you."""
ASK = "\nYou are the judge. Ask advocate {name} one question that would help you to decide."
DECIDE = "\nYou are the judge. Whose answer is right? Reply with A or B only."

NAMES = ("A", "B")


@dataclass(frozen=True, slots=True)
class Speech:
    """A turn of the trial: an advocate's argument, or the judge's question to one."""

    side: int
    turn: Turn
    question: bool = False


class Trial(Settings):
    """The two answers that most policies give are argued for before a judge."""

    kind: Literal["trial"] = "trial"
    samples: int = Field(default=1, ge=1, le=10_000)
    """Answers from each policy."""
    form: Literal["debate", "consultancy"] = "debate"
    """Whether both answers have an advocate, or one that is drawn by the task."""
    rounds: int = Field(default=2, ge=1, le=100)
    """How often each advocate speaks."""
    speak: Literal["together", "in_turn"] = "together"
    """Whether the advocates of a round speak at once, or the second hears the first."""
    questions: bool = False
    """Whether the (first) judge asks each advocate a question between rounds."""
    judge_sees: Literal["question", "source"] = "question"
    """Whether judges see the prompt without its <source> part, or all of it."""

    @property
    def yields(self) -> frozenset[Signal]:
        """The answer that won, over the one that lost, and the arguments that won."""
        return VOTED

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one trial; it is over at once where all give the same answer."""
        first = yield answers(task, people, self.samples)
        sides = _sides(task, first)
        if len(sides) < 2:
            return concluded(first, first, first, tried=0.0)
        said = yield from self._argued(task, people, sides)
        own, p = yield from self._decided(task, people, sides, said)
        result = concluded(first, first, first, tried=1.0)
        if p is None or p == 0.5:
            return Outcome(own, majority=result.answer, notes={**result.notes, "decided": 0.0})
        winner = 0 if p > 0.5 else 1
        won, lost = sides[winner], sides[1 - winner]
        by = tuple(v.by for v in own if v.by is not None and v.score is not None)
        panel = Verdict(sides[0].index, "preference", p, over=sides[1].index)
        return Outcome(
            verdicts=(*matches(first, str(won.answer)), *own, panel),
            reference=won.text,
            answer=won.answer,
            majority=result.answer,
            preferences=(Preference(won.index, won.index, lost.index, max(p, 1 - p), by),),
            demonstrations=tuple(
                Demonstration(one.turn.index, one.turn.index, "debater")
                for one in said
                if one.side == winner and not one.question and one.turn.text.strip()
            ),
            notes={**result.notes, "decided": 1.0},
        )

    def _argued(
        self, task: Task, people: Population, sides: Sequence[Turn]
    ) -> Wishes[list[Speech]]:
        """Return what was said for the answers, and asked."""
        speaking = range(2)
        if self.form == "consultancy":
            speaking = [Random(f"consultant/{task.id}").randrange(2)]
        said: list[Speech] = []
        for number in range(self.rounds):
            heats = [[side] for side in speaking] if self.speak == "in_turn" else [list(speaking)]
            for heat in heats:
                turns = yield [
                    _say(acting(sides[i].agent, "critic"), task.prompt, sides, said, ARGUE, i)
                    for i in heat
                ]
                said += [Speech(i, turn) for i, turn in zip(heat, turns, strict=True)]
            if self.questions and number < self.rounds - 1:
                judge, seen = people.playing("judge")[0], self._seen(task)
                turns = yield [_say(judge, seen, sides, said, ASK, i) for i in speaking]
                said += [Speech(i, t, question=True) for i, t in zip(speaking, turns, strict=True)]
        return said

    def _decided(
        self, task: Task, people: Population, sides: Sequence[Turn], said: Sequence[Speech]
    ) -> Wishes[tuple[tuple[Verdict, ...], float | None]]:
        """Return the judges' verdicts with either naming, and how likely the first side won."""
        judges, seen = people.playing("judge"), self._seen(task)
        asked = [(judge, swapped) for swapped in (False, True) for judge in judges]
        replies = yield from choose(
            [_say(judge, seen, sides, said, DECIDE, swapped=swapped) for judge, swapped in asked]
        )
        found = dict(zip(asked, replies, strict=True))
        verdicts = tuple(
            Verdict(
                sides[swapped].index,
                "preference",
                reply.read[0] if reply.read else None,
                by=reply.turn.index,
                over=sides[1 - swapped].index,
            )
            for (_, swapped), reply in found.items()
        )
        each: list[tuple[Agent, float | None]] = []
        for judge in judges:
            one, other = found[judge, False].read, found[judge, True].read
            each.append((judge, (one[0] + other[1]) / 2 if one and other else None))
        return verdicts, mean(each)

    def _seen(self, task: Task) -> str:
        """Return the question as the judges see it."""
        return task.prompt if self.judge_sees == "source" else SOURCE.sub(HIDDEN, task.prompt)

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks at most: any policy may have to argue for both."""
        advocates = 2 if self.form == "debate" else 1
        policies = people.playing("policy")
        asking = advocates * (self.rounds - 1) if self.questions else 0
        most = dict.fromkeys(policies, self.samples)
        most |= {acting(policy, "critic"): advocates * self.rounds for policy in policies}
        for i, judge in enumerate(people.playing("judge")):
            most[judge] = 2 * TRIES + (asking if i == 0 else 0)
        return most


def _sides(task: Task, first: Sequence[Turn]) -> list[Turn]:
    """Return a turn for each of the two answers that most gave, or fewer, in a drawn order."""
    counts = Counter(turn.answer for turn in first if turn.answer is not None)
    tried = [answer for answer, _ in counts.most_common(2)]
    sides = [next(turn for turn in first if turn.answer == answer) for answer in tried]
    Random(f"trial/{task.id}").shuffle(sides)
    return sides


def _say(
    who: Agent,
    question: str,
    sides: Sequence[Turn],
    said: Sequence[Speech],
    wording: str,
    side: int = 0,
    *,
    swapped: bool = False,
) -> Say:
    """Return the wish for a word on the case, in which the sides' names may be exchanged."""
    names = NAMES[::-1] if swapped else NAMES
    shown = [
        fenced("question" if one.question else "argument", one.turn.text, i, names[one.side])
        for i, one in enumerate(said, 1)
    ]
    a, b = (unmarked(str(turn.answer)) for turn in (sides[::-1] if swapped else sides))
    text = filled(CASE, question=question, a=a, b=b, said="\n".join(shown))
    heard = sorted({turn.index for turn in sides} | {one.turn.index for one in said})
    choices = NAMES if wording == DECIDE else ()
    return Say(who, text + filled(wording, name=names[side]), tuple(heard), choices=choices)
