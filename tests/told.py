"""Episodes told by hand, and a tiny model that learns from them."""

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from moot.agents.embedded.tokens import Tokens
from moot.agents.population import Agent
from moot.agents.task import Task
from moot.agents.types import Completion, Message, Sampling
from moot.protocols.types import Episode, Outcome, Turn
from moot.protocols.verifiers import VERIFIERS
from moot.training.checkpoint import Progress
from moot.training.data.examples import Example, Pair, Rollout, Said, Shown
from moot.training.fit import fit, graded
from moot.training.job import Done, Job, Step
from moot.training.method import Method
from moot.training.model.architecture import base
from moot.training.model.learner import Learner
from moot.training.model.stored import tensors
from moot.training.settings import Fit, Lora
from moot.training.study import study

TASK = Task("t", "2 + 2?", "4", VERIFIERS["number"])
FIT = Fit(lr=1e-2, device="cpu", lora=Lora(rank=4, alpha=8))


def turn(i: int, text: str, *, role: Any = "policy", **named: Any) -> Turn:
    """The turn `i`, by the agent p`i` of the weights w; `named` are what is otherwise with it."""
    usual: dict[str, Any] = {"weights": "w", "engine": "main"} | named
    tokens = usual.pop("tokens", ())
    prompt_tokens = usual.pop("prompt_tokens", ())
    asked = usual.pop("asked", TASK.prompt)
    heat, exchange = usual.pop("temperature", 1.0), usual.pop("round", 0)
    agent = Agent(f"p{i}", role, sampling=Sampling(temperature=heat), **usual)
    return Turn(
        index=i,
        round=exchange,
        agent=agent,
        prompt=agent.prompt(asked),
        completion=Completion(
            text, "stop", 0, 3, len(tokens), 0.0, tokens=tokens, prompt_tokens=prompt_tokens
        ),
        heard=(),
        answer=TASK.verifier.read(text),
    )


def episode(turns: Sequence[Turn], name: str = "e", **outcome: Any) -> Episode:
    """An episode of these turns, and what came of it."""
    return Episode(name, TASK, "sample", tuple(turns), Outcome(**outcome))


def answered(*texts: str, name: str = "e", **named: Any) -> Episode:
    """An episode in which policies gave these answers, all in one round."""
    return episode([turn(i, text, **named) for i, text in enumerate(texts)], name)


def words(text: str, tokens: tuple[int, ...] = (), asked: str = "?") -> Said:
    """A reply to a plain question."""
    return Said((Message("user", asked),), text, tokens=tokens)


def shown(name: str, tokens: tuple[int, ...], text: str = "!") -> Shown:
    """A demonstration of these tokens."""
    return Shown("e", 0, "a", ("w",), Said((), text, tokens, prompt_tokens=(7,)), name)


def rollout(i: int, reward: float | None, tokens: tuple[int, ...], **named: Any) -> Rollout:
    """The reply `i` of the episode e."""
    usual: dict[str, Any] = {"episode": "e", "round": 0, "agent": "a", "weights": "w"} | named
    return Rollout(turn=i, version=0, said=words(str(i), tokens), reward=reward, **usual)


def reply(i: int, asked: str, name: str, **named: Any) -> Rollout:
    """The reply `i`, a token, to a question of the episode `name`."""
    one = rollout(i, float(i % 2 == 0), (10 + i,), episode=name)
    return replace(one, said=replace(one.said, prompt=(Message("user", asked),), **named))


def pair(
    name: str, chosen: Said, rejected: Said, *, turns: tuple[int, int] = (0, 1), **named: Any
) -> Pair:
    """A preference of an episode of its own."""
    return Pair(name, turns, ("a", "b"), ("w",), chosen, rejected, **named)


def learner(model: Path, settings: Fit = FIT, weights: Path | None = None, **named: Any) -> Learner:
    """A learner on a model of its own."""
    return Learner(base(model, settings), settings, weights, seed=1, model=model, **named)


def filed(progress: Progress) -> dict[str, Tensor]:
    """The weights of a checkpoint."""
    assert progress.folder is not None
    return tensors(progress.folder)


def work(model: Path, folder: Path, method: Any, settings: Fit = FIT) -> Job:
    """A job that begins with no weights."""
    return Job(
        model=model,
        weights=None,
        folder=folder,
        method=method,
        fit=settings,
        heard=("w",),
        adapter_seed=1,
        order_seed=2,
    )


def studied(job: Job, examples: Sequence[Example]) -> tuple[list[Step], Done]:
    """The steps of a job, and what came of it."""
    found: list[Done] = []

    def through() -> Generator[Step]:
        found.append((yield from study(job, examples)))

    steps = list(through())
    return steps, found[0]


def learnt(
    pupil: Learner,
    method: Method[Any],
    examples: Sequence[Example],
    model: Path,
    folder: Path,
    settings: Fit = FIT,
    start: Progress | None = None,
) -> list[Step]:
    """The steps in which the pupil learnt from the examples, once they are graded."""
    encode = Tokens(model)
    own = graded(pupil, method, method.graded(examples), encode, settings, lambda _: True)
    steps = fit(
        pupil, method, own, encode, settings, seed=2, start=start or Progress(), folder=folder
    )
    return list(steps)
