"""Self-reward: a policy's verdict on a reply, read off one token (LaSeR, arXiv:2510.14943).

A policy that learnt to give verdicts gives a token that no chat uses, right after a reply, a
log-probability that tells how right it holds the reply.  How it is read lies beside its weights.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import EngineError, in_one_line
from .types import Request

FILE = "self_reward.json"


@dataclass(frozen=True, slots=True)
class Reading:
    """How verdicts are read: β · (log π(z | prompt, reply) - c)."""

    after: tuple[int, ...]
    """The tokens after a reply's text: the one that ends it, where there is one, and z."""
    beta: float
    """β: so many verdicts a nat is."""
    constant: float
    """c: what the model gave z before it learnt, in the mean over replies, in nats."""

    def verdict(self, logprob: float) -> float:
        """Return the verdict where z has this natural-log probability."""
        return self.beta * (logprob - self.constant)


def wanted(request: Request, known: Mapping[str, Reading | None]) -> Reading | None:
    """Return how the verdict that a request asks for is read; `None`: it asks for none, or who is
    to speak never learnt to give any."""
    return known.get(request.weights or "") if request.verdict and request.version else None


def write(folder: Path, how: Reading) -> None:
    """Write how verdicts are read beside the weights in `folder`."""
    (folder / FILE).write_text(json.dumps(asdict(how)) + "\n")


def read(folder: Path) -> Reading | None:
    """Return how the verdicts of the weights in `folder` are read; `None`: they give none."""
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_bytes())
        after, beta, constant = found["after"], found["beta"], found["constant"]
        return Reading(tuple(map(int, after)), float(beta), float(constant))
    except (ValueError, TypeError, KeyError) as error:
        wrong = f"{file}: expected `after`, `beta` and `constant`: {in_one_line(error)}"
        raise EngineError(wrong) from None
