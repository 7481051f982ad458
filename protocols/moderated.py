"""A moderated debate of two: one answers, one disagrees, and a judge may end it (arXiv:2305.19118).

After each round the judge says whether a side has convinced it, and of which answer; that ends the
debate.  Where none has by the last round, the judge lists the candidates and picks one.  As in the
paper's code both sides may be played by one policy.  Its temperature of 0 is left to the
population's sampling.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, Field

from moot.agents.population import Agent, Population
from moot.agents.types import Prompt, Settings, Task

from .asking import TRIES, Wishes, shaped
from .consensus import VOTED, matches
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
{"reason": "...", "side": "affirmative", "negative" or "none", "answer": "the final answer, or \
empty if neither has convinced you yet"}"""
LIST = "\nThe debate is over. Which answers were proposed? List them, each once."
PICK = "Which of them is right? Answer the question, in the form that it asks for."

SIDES = ("affirmative", "negative")


class Ruling(BaseModel):
    """What the moderator finds after a round."""

    reason: str = ""
    side: Literal["affirmative", "negative", "none"] = "none"
    answer: str = ""


class Moderated(Settings):
    """One policy answers, another disagrees, and a judge decides when and how it ends."""

    kind: Literal["moderated"] = "moderated"
    rounds: int = Field(default=3, ge=1, le=100)
    """How often each side speaks at most."""

    @property
    def yields(self) -> frozenset[Signal]:
        """The judge's answer, and the side that gave it over the other."""
        return VOTED

    def __call__(self, task: Task, people: Population) -> Script:
        """Return the script of one debate."""
        sides, judge = _sides(people), people.playing("judge")[0]
        said: list[Turn] = []
        chats: list[Prompt] = [(), ()]
        for number in range(self.rounds):
            for i, debater in enumerate(sides):
                text = self._ask(task, i, number, said)
                heard = tuple(turn.index for turn in said)
                [turn] = yield [Say(debater, text, heard, chats[i])]
                chats[i] += exchange(text, turn)
                said.append(turn)
            [ruling] = yield from shaped([_to_judge(task, judge, said, MODERATE)], Ruling)
            answer = task.verifier.read(ruling.read.answer) if ruling.read else None
            if answer is not None:
                return self._outcome(said, answer, ruling.turn, number + 1, adaptive=True)
        last = yield from _pick(task, judge, said)
        return self._outcome(said, last.answer, last, self.rounds, adaptive=False)

    def _ask(self, task: Task, side: int, number: int, said: Sequence[Turn]) -> str:
        if not said:
            return task.prompt
        other = fenced("answer", said[-1].text, 1)
        if side == 1 and number == 0:
            return filled(DISAGREE, question=task.prompt, other=other)
        return filled(REPLY, other=other)

    def _outcome(
        self, said: Sequence[Turn], answer: str | None, by: Turn, rounds: int, *, adaptive: bool
    ) -> Outcome:
        notes = {"rounds": float(rounds), "decided": float(adaptive)}
        majority = said[0].answer
        if answer is None:
            return Outcome(majority=majority, notes=notes)
        stated = [turn for turn in said if turn.answer == answer]
        return Outcome(
            verdicts=matches(said, answer, by.index),
            reference=stated[0].text if stated else by.text,
            answer=answer,
            majority=majority,
            preferences=tuple(_preferred(said[:2], answer, by)),
            notes=notes,
        )

    def calls(self, people: Population) -> Mapping[Agent, int]:
        """Return how often each agent speaks at most."""
        speaks = Counter(_sides(people))
        most = {debater: sides * self.rounds for debater, sides in speaks.items()}
        return {**most, people.playing("judge")[0]: TRIES * self.rounds + 2}


def _sides(people: Population) -> tuple[Agent, Agent]:
    """Return who takes which side; a policy that is alone takes both."""
    policies = people.playing("policy")
    return policies[0], policies[1 % len(policies)]


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


def _preferred(opening: Sequence[Turn], answer: str, by: Turn) -> list[Preference]:
    """Return the winning side's first turn over the other's, where just one gave the answer."""
    won = [turn for turn in opening if turn.answer == answer]
    lost = [turn for turn in opening if turn.answer not in {answer, None}]
    if len(won) != 1 or len(lost) != 1:
        return []
    return [Preference(opening[0].index, won[0].index, lost[0].index, by=(by.index,))]
