"""Proposals: agents are asked for criteria.

They are asked for JSON, which some engines can be held to; and who can't be read, for a numbered
list: small models write lists, and no JSON.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Literal

from moot.agents.population import Agent

from ..asking import Wishes, asked
from ..fence import fenced, filled
from ..types import Say, Turn
from .criteria import Criterion
from .drafts import Weights, drafted, shape

PROPOSE = """\
{material}

{source}Write at least {n} criteria that a good answer to the question must meet. Each is one \
short sentence about one thing, which is plainly true of an answer or not, as can be told from \
that answer alone. {worth}{form}"""

Source = Literal["reference", "question", "disagreement"]
SOURCES: Mapping[Source, str] = {
    "reference": "This is a good answer to a question; take what you look for from it. ",
    "question": "",
    "disagreement": "These answers differ; look for what makes some of them better than others. ",
}
WORTH: Mapping[Weights, str] = {
    "uniform": "",
    "labelled": """\
Label each essential, important, optional or pitfall; that of a pitfall says that a common mistake \
is avoided. """,
    "signed": """\
Write some for what a good answer must not have, too. Give each its points, from 1 to 10 for what \
makes an answer better, and from -10 to -1 for what makes it worse. """,
}
AS_JSON: Mapping[Weights, str] = {
    "uniform": 'Reply with JSON only: {"criteria": [{"text": "..."}]}',
    "labelled": 'Reply with JSON only: {"criteria": [{"text": "...", "label": "essential"}]}',
    "signed": 'Reply with JSON only: {"criteria": [{"text": "...", "points": 5}]}',
}
AS_LIST: Mapping[Weights, str] = {
    "uniform": "Reply with a numbered list only.",
    "labelled": "Reply with a numbered list only, with the labels first: 1. [essential] ...",
    "signed": "Reply with a numbered list only, with the points first: 1. [+5] ...",
}


def proposals(
    proposers: Sequence[Agent],
    heard: Sequence[Turn],
    *,
    question: str | None,
    source: Source,
    n: int,
    most: int,
    weights: Weights,
) -> Wishes[list[Criterion]]:
    """Return what is proposed: everyone's first criterion, then everyone's second, ...

    Args:
        proposers: who is asked.
        heard: the answers that they are shown.
        question: `None`: it isn't shown.
        source: what the criteria are taken from.
        n: how many each is asked for at least.
        most: how many of each are used at most.
        weights: what decides how much one is worth.
    """
    answers = [fenced("answer", turn.text, i) for i, turn in enumerate(heard, 1)]
    shown = [] if question is None else [f"Question: {question}"]
    material = "\n\n".join([*shown, "\n".join(answers)]).strip()

    def ask(form: str) -> str:
        return filled(
            PROPOSE,
            material=material,
            source=SOURCES[source],
            n=str(n),
            worth=WORTH[weights],
            form=form,
        )

    places, form = tuple(sorted(turn.index for turn in heard)), shape(weights, most)
    replies = yield from asked(
        [Say(agent, ask(AS_JSON[weights]), places, shape=form) for agent in proposers],
        lambda say, turn: drafted(turn.text, weights, turn.index),
        lambda say: replace(say, text=ask(AS_LIST[weights]), shape=""),
    )
    rows = zip_longest(*(reply.read or () for reply in replies))
    return [criterion for row in rows for criterion in row if criterion is not None]
