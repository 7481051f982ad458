"""Do a job, as one process or as one of several."""

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

import torch

from moot.agents.tokens import Tokens

from .architecture import base
from .checkpoint import Progress, read
from .examples import Example, Rollout
from .filed import Filed, keeper
from .fit import fit, graded
from .job import Done, Job, Step
from .learner import Learner, release
from .reward_model import rewarded


def study(job: Job, examples: Sequence[Example], loaded: Any = None) -> Generator[Step, None, Done]:
    """Grade a learner's examples and train it on them, yielding each step as it is taken.

    Where the examples are in a file, and are not graded against each other, as rollouts are, they
    stay in files: memory holds those of a step.

    Args:
        job: what is to be done.
        examples: what the cycle taught, whoever is to learn it.
        loaded: the base model, where it is in memory already.
    """
    encode = Tokens(job.model)
    learner = _ready(job, encode, loaded)
    if job.what == "reward":
        found = rewarded(learner, list(examples), encode, job.fit.batch_tokens)
        loaded = learner.close()
        del learner
        release()
        return Done(found, base=loaded)
    start = Progress() if job.weights is None else read(job.weights)
    own = graded(
        learner,
        job.method,
        examples,
        encode,
        job.fit,
        job.mine,
        start.taken,
        keep=_keeper(job, examples),
    )
    moved = False
    if _teach(own):
        was = learner.fingerprint()
        yield from fit(
            learner,
            job.method,
            own,
            encode,
            job.fit,
            seed=job.order_seed,
            start=start,
            folder=job.folder,
        )
        moved = not torch.equal(learner.fingerprint(), was)
    loaded = learner.close()
    del learner
    release()
    return Done(own, moved, loaded)


def _ready(job: Job, encode: Tokens, loaded: Any) -> Learner:
    """Return the learner, at the weights that spoke."""
    judge = job.method.kind == "reward_model"
    return Learner(
        base(job.model, job.fit) if loaded is None else loaded,
        job.fit,
        job.weights,
        seed=job.adapter_seed,
        model=job.model,
        scalar=judge or job.method.looks(encode).scalar,
    )


def _keeper(
    job: Job, examples: Sequence[Example]
) -> Callable[[Iterable[Example]], Sequence[Example]]:
    """Return what makes a sequence of examples as they come."""
    if isinstance(examples, Filed) and examples.kind is not Rollout:
        return keeper(job.folder)
    return list


def _teach(examples: Sequence[Example]) -> bool:
    if isinstance(examples, Filed):
        return any(examples.teaches)
    return any(example.teaches for example in examples)
