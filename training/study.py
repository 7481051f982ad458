"""Do a job, as one process or as one of several."""

from collections.abc import Callable, Generator, Iterable, Sequence
from datetime import date
from statistics import fmean
from typing import Any

import torch

from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import MootError
from moot.agents.self_reward import Reading

from .checkpoint import Progress, read
from .data.examples import Example, Rollout, contrast
from .data.filed import Filed, keeper
from .fit import fit, graded
from .job import BEFORE, Do, Done, Job, Step
from .memory import release, told_memory
from .model.architecture import base
from .model.learner import Learner
from .model.room import Room
from .proof import Proof, chosen, thought, write
from .reward_model import rewarded
from .variety import variety


def in_turn() -> Do:
    """Return what does jobs that share a base model, which it holds between them."""
    base: Any = None

    def do(job: Job, examples: Sequence[Example]) -> Generator[Step, None, Done]:
        nonlocal base
        done = yield from study(job, examples, base)
        base = done.base
        return done

    return do


def study(job: Job, examples: Sequence[Example], loaded: Any = None) -> Generator[Step, None, Done]:
    """Grade a learner's examples and train it on them, yielding each step as it is taken.

    Where the examples are in a file, and are not graded against each other, as rollouts are, they
    stay in files: memory holds those of a step.

    Args:
        job: what is to be done.
        examples: what the cycle taught, whoever is to learn it.
        loaded: the base model, where it is in memory already.

    Raises:
        MootError: what the user can mend, a GPU's memory that ran out among it.
    """
    with told_memory():
        return (yield from _studied(job, examples, loaded))


def _studied(job: Job, examples: Sequence[Example], loaded: Any) -> Generator[Step, None, Done]:
    encode = Tokens(job.model)
    learner = _ready(job, encode, loaded)
    room, moved = Room(encode, learner.context), False
    if job.what == "reward":
        # What is too long has no reward, and is counted where the policy would learn from it.
        every, most = list(examples), job.fit.batch_tokens
        own: Sequence[Example] = rewarded(learner, every, encode, most, room.holds)
    else:
        own, moved = yield from _trained(job, learner, encode, room, examples)
    loaded = learner.close()
    del learner
    release()
    return Done(own, moved, loaded)


def _trained(
    job: Job, learner: Learner, encode: Tokens, room: Room, examples: Sequence[Example]
) -> Generator[Step, None, tuple[Sequence[Example], bool]]:
    """Train the learner; return its examples as they were graded, and whether it moved."""
    start = Progress() if job.weights is None else read(job.weights)
    own = graded(
        learner,
        job.method,
        examples,
        encode,
        job.fit,
        lambda example: job.mine(example) and room.holds(example),
        start.taken,
        keep=_keeper(job, examples),
    )
    if found := _seen(learner, room) | _found(job, own, examples):
        yield BEFORE, found
    # What is all alike earns alike and teaches nothing: it is in no step, and so looked at before.
    guards = job.fit.guards
    whole = variety(own) if guards.distinct is not None or guards.commonest is not None else {}
    if broken := guards.broken(whole):
        yield BEFORE, {**whole, "guarded": 1.0}
        if guards.then == "fail":
            raise MootError(f"training: {broken}; the weights are as they were")
        return own, False
    if not _teach(own):
        return own, False
    learner.verdicts = _verdicts(job, encode, own) or learner.verdicts
    was = learner.fingerprint()
    row = None if job.method.kind == "reward_model" else chosen(own, encode)
    before = () if row is None else thought(learner, row, encode)
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
    if row is not None:
        after = thought(learner, row, encode)
        words = row.prompt, row.text, row.prompt_tokens, row.tokens
        proof = Proof(*words, after, before, str(date.today()) if encode.dated else "")
        write(job.folder, proof)
    return own, not torch.equal(learner.fingerprint(), was)


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


def _verdicts(job: Job, encode: Tokens, examples: Sequence[Example]) -> Reading | None:
    """Return how the verdicts that are learnt are to be read; `None`: none are learnt."""
    look = job.method.looks(encode)
    if look.probe is None:
        return None
    learnt = [e.said.known for e in examples if isinstance(e, Rollout) and e.target is not None]
    seen = [known.anchor_probe for known in learnt if known.anchor_probe is not None]
    after = (*encode.completion("", ended=True), look.probe)
    return Reading(after, look.beta, fmean(seen)) if seen else None


def _seen(learner: Learner, room: Room) -> dict[str, float]:
    """Return what is to be told of how the examples go through the model."""
    found = {"too_long": float(room.left_out)} if room.left_out else {}
    return found if learner.form != "rows" else {**found, "unshared": 1.0}


def _found(job: Job, own: Sequence[Example], examples: Sequence[Example]) -> dict[str, float]:
    """Return what is to be told of a learner's `own` of the examples before it learns from them."""
    if isinstance(own, Filed):
        return {}
    rewards = [e.reward for e in own if isinstance(e, Rollout) and e.reward is not None]
    found = {"earned": fmean(rewards)} if rewards else {}
    groups = {e.group for e in own if isinstance(e, Rollout)}
    others = (e for e in examples if isinstance(e, Rollout) and not job.mine(e))
    return found | contrast([*own, *(e for e in others if e.group in groups)])


def _teach(examples: Sequence[Example]) -> bool:
    if isinstance(examples, Filed):
        return any(examples.teaches)
    return any(example.teaches for example in examples)
