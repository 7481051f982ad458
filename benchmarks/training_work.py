"""The work of training.py, random token ids that are the same in every process; what does it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor, nn

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
MEMBERS, AGENTS, ROUNDS = 8, 4, 3
"""Completions of a group; speakers and rounds of the debate."""

BETA = 0.1
"""DPO's."""

SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "grpo": {"quick": (1, 48, 8), "cpu": (1, 512, 64), "gpu": (8, 512, 64)},
    "short": {"quick": (1, 8, 32), "cpu": (1, 32, 256), "gpu": (8, 32, 256)},
    "dpo": {"quick": (2, 48, 16), "cpu": (4, 512, 128), "gpu": (16, 512, 128)},
    "tree": {"quick": (1, 32, 8), "cpu": (1, 256, 192), "gpu": (1, 256, 192)},
}
"""Groups, pairs or debates; tokens of a prompt (a debate's question); tokens of a completion."""


@dataclass(frozen=True)
class Work:
    """One step's batch, as token ids."""

    preferences: bool
    """Whether it is for DPO: the chosen ones, then the rejected ones."""
    prompts: list[list[int]]
    completions: list[list[int]]
    advantages: list[float]
    pieces: int = 1
    """Those it is padded in, for it may be too large in one."""

    @property
    def tokens(self) -> int:
        """The tokens of its rows, each by itself."""
        return sum(map(len, [*self.prompts, *self.completions]))

    def pieced(self) -> list[Work]:
        """Return its pieces, of as many rows each."""
        size = len(self.prompts) // self.pieces
        ats = [slice(start, start + size) for start in range(0, len(self.prompts), size)]
        return [
            Work(self.preferences, self.prompts[at], self.completions[at], self.advantages[at])
            for at in ats
        ]


@dataclass(frozen=True)
class Side:
    """A model, and its loss of the work."""

    parameters: Mapping[str, nn.Parameter]
    """What learns."""
    losses: Callable[[], Iterable[Tensor]]
    """Its loss in parts, each to be sent backward before the next is asked for."""
    facts: Mapping[str, float]
    """What else is to be told."""


def work(case: str, scale: str) -> Work:
    """Return a case's batch, of random tokens; the same in every process."""
    rng = Random(f"{case}/{scale}")
    many, prompt, completion = SHAPES[case][scale]

    def ids(length: int) -> list[int]:
        return [rng.randrange(1000, 40_000) for _ in range(length)]

    if case == "tree":
        rows = _debate(ids(prompt), lambda: ids(completion), ids(prompt // 8))
    elif case == "dpo":
        asked = [ids(prompt) for _ in range(many)]
        rows = [(one, ids(completion)) for one in (*asked, *asked)]
    else:
        asked = [ids(prompt) for _ in range(many)]
        rows = [(one, ids(completion)) for one in asked for _ in range(MEMBERS)]
    advantages = [rng.gauss(0, 1) for _ in rows]
    prompts, completions = ([row[i] for row in rows] for i in range(2))
    # A round at a time on a GPU; half of one where all would be more than 24 GB.
    pieces = (ROUNDS if scale == "gpu" else 2 * ROUNDS) if case == "tree" else 1
    return Work(case == "dpo", prompts, completions, advantages, pieces)


def _debate(
    question: list[int], answer: Callable[[], list[int]], frame: list[int]
) -> list[tuple[list[int], list[int]]]:
    """Return what each agent read and said: the question, then in turns what it said and heard.

    Args:
        question: what all begin with.
        answer: says something new.
        frame: what stands between an own answer and those that are heard.
    """
    chats = [question] * AGENTS
    rows: list[tuple[list[int], list[int]]] = []
    for _ in range(ROUNDS):
        said = [answer() for _ in chats]
        rows += zip(chats, said, strict=True)
        heard = [[t for o in said if o is not own for t in o] for own in said]
        parts = zip(chats, said, heard, strict=True)
        chats = [[*chat, *own, *frame, *others] for chat, own, others in parts]
    return rows


def block(rows: list[list[int]], *, left: bool = False) -> tuple[Tensor, Tensor]:
    """Return (N, T) the rows, padded, and 1 on what is real."""
    side = "left" if left else "right"
    pad: Callable[..., Tensor] = nn.utils.rnn.pad_sequence
    ids = pad([torch.tensor(row) for row in rows], batch_first=True, padding_side=side)
    mask = pad(
        [torch.ones(len(row), dtype=torch.long) for row in rows],
        batch_first=True,
        padding_side=side,
    )
    return ids.to(DEVICE), mask.to(DEVICE)
