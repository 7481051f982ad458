"""Proof: what the trainer makes of one reply, for engines that take up its weights to be held to.

That an engine says it holds a version, and that its log-probabilities moved, doesn't tell that what
it holds is what was learnt.  That they are the trainer's own, token by token, does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from moot.agents.types import Message, Prompt

from .examples import Example, Said, Shown
from .types import Encoder

if TYPE_CHECKING:
    from .learner import Learner

FILE = "proof.json"
AMONG = 64
"""Of so many examples the shortest reply is taken."""


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


def prove(learner: Learner, examples: Iterable[Example], encode: Encoder) -> Proof | None:
    """Return what the learner as it is makes of one of the examples; `None`: none says anything.

    All processes of a training must ask.
    """
    from .look import by_policy

    said = [one for e in islice(examples, AMONG) for one in e.rows[:1] if one.text]
    if not said:
        return None
    chosen = min(said, key=lambda one: len(one.text) + sum(len(m.content) for m in one.prompt))
    tokens = tuple(encode.completion(chosen.text, ended=False))
    row = Said(chosen.prompt, chosen.text, tokens, tuple(encode.prompt(chosen.prompt)))
    [found] = by_policy(learner, [Shown("", None, "", (), row, "proof")], encode, 1)
    logprobs = found.rows[0].known.logp
    return Proof(row.prompt, row.text, row.prompt_tokens, row.tokens, logprobs)


def write(training: Path, proof: Proof) -> None:
    """Write a proof beside the last checkpoint of a training; the process that leads does."""
    from . import world

    if world.leads():
        (max(training.glob("step-*")) / FILE).write_text(json.dumps(asdict(proof)) + "\n")


def read(folder: Path) -> Proof | None:
    """Return the proof beside the weights in `folder`, if there is one."""
    file = folder / FILE
    if not file.is_file():
        return None
    found = json.loads(file.read_bytes())
    prompt = tuple(Message(**message) for message in found.pop("prompt"))
    return Proof(prompt, found.pop("text"), **{name: tuple(ids) for name, ids in found.items()})
