"""A moderated debate of two: one answers, one disagrees, and a judge may end it (arXiv:2305.19118).

After each round the judge says whether a side has convinced it, and of which answer; that ends the
debate.  Where none has by the last round, the judge lists the candidates and picks one.  As in the
paper's code both sides may be played by one policy.  Its temperature of 0 is left to the
population's sampling.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Prompt, Settings

from .asking import TRIES, Wishes, shaped
from .consensus import giving, matches
from .fence import exchange, fenced, filled
from .types import Outcome, Preference, Say, Script, Signal, Turn

DISAGREE = """\
{question}

Somebody else answered:

{other}

You disagree with it. Say why, and give your own answer in the form that the question asks for."""

REPLY = """\
The other side says:

{other}

Do you agree? Say why or why not, then give your answer again, in the form that the question asks \
for."""

HEARD = """\
Question:
{question}

Two debate it, the affirmative side and the negative side:

{said}
"""
MODERATE = """
You moderate the debate. Has one side convinced you? Reply with JSON only: \
{"reason": "...", "answer": "the final answer, or empty if neither has convinced you yet"}"""
LIST = "\nThe debate is over. Which answers were proposed? List them, each once."
PICK = "Which of them is right? Answer the question, in the form that it asks for."

SIDES = ("affirmative", "negative")
YIELDS: frozenset[Signal] = frozenset({"reference", "preferences"})


class Ruling(BaseModel):
    """What the moderator finds after a round."""

    reason: str | None = None
    answer: str = ""

    @field_validator("answer", mode="before")
    @classmethod
    def _as_text(cls, said: Any) -> Any:
        """Take a number for its text, and null for no answer."""
        if said is None:
            return ""
        number = isinstance(said, int | float) and not isinstance(said, bool)
        return str(said) if number else said


class Moderated(Settings):
    """One policy answers, another disagrees, and a judge decides when and how it ends."""

    kind: Literal["moderated"] = "moderated"
    rounds: int = Field(default=3, ge=1, le=100)
    """How often each side speaks at most."""

    @property
    def yields(self) -> frozenset[Signal]:
        """The judge's answer, and the side that gave it over the other."""
        return YIELDS

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one debate."""
        policies, judge = people.playing("policy"), people.playing("judge")[0]
        sides = (task.shuffled(policies, "sides") * 2)[:2]  # who is alone takes both
        said: list[Turn] = []
        chats: list[Prompt] = [(), ()]
        unread = 0
        notes: dict[str, float] = {}
        for number in range(1, self.rounds + 1):
            for side, debater in enumerate(sides):
                text = _ask(task, said)
                heard = tuple(turn.index for turn in said)
                [turn] = yield [Say(debater, text, heard, chats[side])]
                chats[side] += exchange(text, turn)
                said.append(turn)
            [ruling] = yield from shaped([_to_judge(task, judge, said, MODERATE)], Ruling)
            unread += ruling.read is None
            notes = {"rounds": float(number), "verdicts_unreadable": unread / number}
            stated = ruling.read.answer if ruling.read else ""
            answer = task.read(stated)
            if answer is not None:
                return _outcome(task, said, answer, ruling.turn, stated, {**notes, "decided": 1.0})
        last = yield from _pick(task, judge, said)
        return _outcome(task, said, last.answer, last, last.text, {**notes, "decided": 0.0})

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks at most."""
        policies = people.playing("policy")
        sides = 2 if len(policies) == 1 else 1
        most = dict.fromkeys(policies, sides * self.rounds)
        return {**most, people.playing("judge")[0]: TRIES * self.rounds + 2}


def _ask(task: Task, said: Sequence[Turn]) -> str:
    """Return what a side is asked: the question, to disagree, or to reply."""
    if not said:
        return task.prompt
    other = fenced("answer", said[-1].text, 1)
    if len(said) == 1:
        return filled(DISAGREE, question=task.prompt, other=other)
    return filled(REPLY, other=other)


def _to_judge(task: Task, judge: Agent, said: Sequence[Turn], wording: str) -> Say:
    shown = [fenced("speech", turn.text, i // 2 + 1, SIDES[i % 2]) for i, turn in enumerate(said)]
    text = filled(HEARD, question=task.prompt, said="\n".join(shown)) + wording
    return Say(judge, text, tuple(turn.index for turn in said))


def _pick(task: Task, judge: Agent, said: Sequence[Turn]) -> Wishes[Turn]:
    """Return the judge's answer, after it has listed the candidates."""
    ask = _to_judge(task, judge, said, LIST)
    [listed] = yield [ask]
    heard = (*ask.heard, listed.index)
    [picked] = yield [Say(judge, PICK, heard, exchange(ask.text, listed))]
    return picked


def _outcome(
    task: Task,
    said: Sequence[Turn],
    answer: str | None,
    by: Turn,
    stated: str,
    notes: Mapping[str, float],
) -> Outcome:
    """Return what comes of `answer`, which the judge has `stated` in turn `by`."""
    majority = said[0].answer
    if answer is None:
        return Outcome(majority=majority, notes=notes)
    given = giving(task, said[:2], answer) or giving(task, said, answer)
    return Outcome(
        verdicts=matches(said, answer, by.index),
        reference=stated if given is None else given.text,
        source=by.index if given is None else given.index,
        answer=answer,
        majority=majority,
        preferences=tuple(_preferred(said[:2], answer, by)),
        notes=notes,
    )


def _preferred(opening: Sequence[Turn], answer: str, by: Turn) -> list[Preference]:
    """Return the winning side's first turn over the other's, where just one gave the answer."""
    won = [turn for turn in opening if turn.answer == answer]
    lost = [turn for turn in opening if turn.answer not in {answer, None}]
    if len(won) != 1 or len(lost) != 1:
        return []
    return [Preference(opening[0].index, won[0].index, lost[0].index, by=(by.index,))]
