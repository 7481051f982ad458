"""Choices: how likely a model makes each of some replies, and which of them it gives.

Shapes: K choices.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from .self_reward import Reading
from .types import Completion, Request


@dataclass(slots=True)
class Ballot:
    """A request for one of some choices, in tokens, as it is weighed."""

    prompt: tuple[int, ...]
    choices: Sequence[tuple[int, ...]]
    how: Reading | None = None
    """How the verdict on the only choice is read, off its last token, which isn't said."""
    logprobs: Sequence[Sequence[float]] = field(default=(), init=False)
    """Of each token of each choice, once they are known."""

    def completion(self, request: Request) -> Completion:
        """Return the choice that is given, and how likely each was."""
        if self.how is not None:
            return self._judged(self.how, request)
        likely = shares(self.choices, [math.fsum(some) for some in self.logprobs])
        given = drawn(likely, request.sampling.temperature, request.seed)
        return Completion(
            text=request.choices[given],
            finish="stop",
            version=request.version,
            tokens_in=len(self.prompt),
            tokens_out=len(self.choices[given]),
            latency_s=0.0,
            tokens=self.choices[given],
            logprobs=tuple(self.logprobs[given]),
            prompt_tokens=self.prompt,
            shares=likely,
        )

    def _judged(self, how: Reading, request: Request) -> Completion:
        """Return the only choice, with the verdict on it."""
        [ids], [logprobs] = self.choices, self.logprobs
        alone = Ballot(self.prompt, [ids[:-1]])
        alone.logprobs = [logprobs[:-1]]
        return replace(alone.completion(request), verdict=how.verdict(logprobs[-1]))


def shares(ids: Sequence[Sequence[int]], logprobs: Sequence[float]) -> tuple[float, ...]:
    """Return (K,) how likely each choice is beside the others, adding up to 1.

    A choice is as likely as that the reply begins with it, and not with a longer choice: where "10"
    is the tokens of "1" and one more, its probability is no part of that of "1".

    Args:
        ids: the tokens of each choice.
        logprobs: (K,) the natural-log probability that the reply begins with them.
    """
    most = max(logprobs)
    begins = [math.exp(logprob - most) for logprob in logprobs]
    likely = list(begins)
    for longer, tokens in enumerate(ids):
        shorter = [k for k, some in enumerate(ids) if _begins(tokens, some)]
        if shorter:  # the longest of them holds it; the others hold that one
            likely[max(shorter, key=lambda k: len(ids[k]))] -= begins[longer]
    bounded = [max(0.0, p) for p in likely]
    total = math.fsum(bounded)
    return tuple(p / total for p in bounded)


def _begins(tokens: Sequence[int], some: Sequence[int]) -> bool:
    """Return whether `tokens` begin with `some` and go on."""
    return len(some) < len(tokens) and list(tokens[: len(some)]) == list(some)


def drawn(likely: Sequence[float], temperature: float, seed: int) -> int:
    """Return which choice is given: the likeliest at temperature 0, the first of equals."""
    best = max(likely)
    if temperature == 0:
        return list(likely).index(best)
    weights = [(p / best) ** (1 / temperature) for p in likely]
    return Random(seed).choices(range(len(likely)), weights)[0]
