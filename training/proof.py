"""Proof: what the trainer makes of one reply, for engines that take up its weights to be held to.

That an engine says it holds a version, and that its log-probabilities moved, doesn't tell that what
it holds is what was learnt.  That they are the trainer's own, token by token, does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from moot.agents.types import Message, Prompt

from .data.examples import Example, Said, Shown
from .model.types import Encoder

if TYPE_CHECKING:
    from .model.learner import Learner

FILE = "proof.json"
AMONG = 64
"""Of so many examples one's reply is taken."""
TELLING = 3
"""So many tokens tell a version from another, and that from noise."""
ENOUGH = 8
"""So many do well; a longer reply takes more time."""


@dataclass(frozen=True, slots=True)
class Proof:
    """One reply to one prompt, under one version of the weights."""

    prompt: Prompt
    text: str
    prompt_tokens: tuple[int, ...]
    tokens: tuple[int, ...]
    """Those of the text, without one that ends it."""
    logprobs: tuple[float, ...]
    """The natural-log probability of each, at temperature 1."""
    before: tuple[float, ...] = ()
    """The same under the version before."""
    day: str = ""
    """The day it is of, as YYYY-MM-DD, where the chat template prints it: ids differ on another."""


def chosen(examples: Iterable[Example], encode: Encoder) -> Said | None:
    """Return the shortest of the replies that are learnt from; `None`: none says anything.

    One of fewer tokens than are `ENOUGH` is taken where there is no longer one.
    """
    said = [one for e in islice(examples, AMONG) for one in e.rows[:1] if one.text]
    read = [(one, tuple(encode.completion(one.text, ended=False))) for one in said]
    if not read:
        return None

    def cost(one: tuple[Said, tuple[int, ...]]) -> tuple[int, int]:
        letters = sum(len(message.content) for message in one[0].prompt)
        return -min(len(one[1]), ENOUGH), letters + len(one[0].text)

    least, tokens = min(read, key=cost)
    return Said(least.prompt, least.text, tokens, tuple(encode.prompt(least.prompt)))


def thought(learner: Learner, row: Said, encode: Encoder) -> tuple[float, ...]:
    """Return the log-probability of each token under the learner as it is.

    All processes of a training must ask.
    """
    from .look import by_policy

    [found] = by_policy(learner, [Shown("", None, "", (), row, "proof")], encode, 1)
    return found.rows[0].known.logp


def share_gone(
    said: Sequence[float], before: Sequence[float], after: Sequence[float]
) -> tuple[float, float] | None:
    """Return how far an engine has gone from one version's log-probabilities to another's.

    Args:
        said: (T,) what the engine says.
        before: (T,) what the trainer made of them under the version before.
        after: (T,) and under the new one.

    Returns:
        The share, by least squares, which is 1 where it has the new version and 0 where it still
        has the old one; and its standard error, by HC3 (MacKinnon and White, 1985), which bears
        that one token makes up most of the way.  `None` where it can't be told.
    """
    way = [b - a for a, b in zip(before, after, strict=False)]
    length = math.fsum(x * x for x in way)
    if len(way) < TELLING or not length or max(x * x for x in way) == length:
        return None
    gone = [s - a for s, a in zip(said, before, strict=True)]
    share = math.fsum(g * x for g, x in zip(gone, way, strict=True)) / length
    off = [(g - share * x) / (1 - x * x / length) for g, x in zip(gone, way, strict=True)]
    return share, math.sqrt(math.fsum((o * x) ** 2 for o, x in zip(off, way, strict=True))) / length


def write(training: Path, proof: Proof) -> None:
    """Write a proof beside the last checkpoint of a training; the process that leads does."""
    from . import world

    if world.leads():
        (max(training.glob("step-*")) / FILE).write_text(json.dumps(asdict(proof)) + "\n")


def read(folder: Path) -> Proof | None:
    """Return the proof beside the weights in `folder`, if there is one.

    Raises:
        MootError: it is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    from .model.stored import reading

    with reading(file):
        found = json.loads(file.read_bytes())
        prompt = tuple(Message(**message) for message in found.pop("prompt"))
        text, day = found.pop("text"), found.pop("day", "")
        return Proof(prompt, text, **{name: tuple(ids) for name, ids in found.items()}, day=day)
