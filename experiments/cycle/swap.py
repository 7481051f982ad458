"""Swap: engines take up new weights, and prove it.

An HTTP 200 is no proof that other weights speak now.  Four things are: the engine, asked, reports
the version; every completion is stamped with the version that the engine says spoke, and the gate
refuses any other; the log-probabilities of a canary, a fixed prompt with a fixed seed, moved; and
those of a reply that was learnt from are the trainer's own, and not those of the version before.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from math import isnan
from statistics import fmean

from moot.agents.engine import Engine, EngineSettings, everywhere
from moot.agents.errors import EngineError
from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Completion, Request, Sampling, Weights
from moot.protocols.journal import Journal, Metric, digest
from moot.protocols.stage import ask
from moot.training.proof import read, share_gone
from moot.training.settings import Fit

CANARY = Sampling(temperature=2.0, max_tokens=8)
"""Hot, so that it says what is unlikely: the likeliest words of a model that is sure of them have a
log-probability of exactly 0 in every version."""
ERRORS = 3
"""By how many standard errors it must be plain that an engine is at the version before: nearer to
it than to the new one, and not as far beyond."""
EXACT, COARSE = 0.01, 0.1
"""How far an engine may be from the trainer, in nats a token: both in float32, or not."""


def tolerances(engines: Mapping[str, EngineSettings], fit: Fit) -> Mapping[str, float]:
    """Return, by engine, how far its log-probabilities may be from the trainer's, in nats a token.

    Args:
        engines: by name.
        fit: how is trained.
    """
    if fit.tolerance != "auto":
        return dict.fromkeys(engines, fit.tolerance)
    exact = fit.precision == "float32" and not fit.quantized
    return {n: EXACT if exact and e.precision == "float32" else COARSE for n, e in engines.items()}


async def swap(
    engines: Mapping[str, Engine],
    people: Population,
    weights: Iterable[Weights],
    journal: Journal,
    task: Task,
    tolerance: Mapping[str, float],
) -> list[Metric]:
    """Load `weights` into the engines of the agents that speak with them, and prove each.

    Args:
        engines: by name.
        people: the population, at the versions that spoke so far.
        weights: the new versions.
        journal: remembers what each version said to the canary, and of the trainer's reply.
        task: whose prompt is the canary.
        tolerance: how far an engine's log-probabilities may be from the trainer's, by its name.

    Returns:
        Of the cycle that made each version: `swap/canary_change`, how far the canary's
        log-probabilities moved, at most, in nats; and `swap/trainer_gap`, how far those of a reply
        are from the trainer's, in the mean.  Of several engines, and servers behind one, the one
        that moved least, and the one that is farthest.

    Raises:
        EngineError: an engine does not report the version, or its canary has not moved, or it makes
            something else of a reply than the trainer does.
    """
    metrics: list[Metric] = []
    for new in weights:
        changes: list[float] = []
        gaps: list[float] = []
        for name, agent in {a.engine: a for a in people.learners()[new.name]}.items():
            changes.append(await _prove(engines[name], agent, new, journal, task))
            gap = await _compare(engines[name], name, new, journal, tolerance[name])
            gaps += [] if gap is None else [gap]
        suffix = "" if len(people.learners()) == 1 else f"@{new.name}"
        found = {"canary_change": min(changes)} | ({"trainer_gap": max(gaps)} if gaps else {})
        metrics += [Metric(new.version - 1, f"swap/{n}{suffix}", x) for n, x in found.items()]
    return metrics


async def _compare(
    engine: Engine, name: str, new: Weights, journal: Journal, tolerance: float
) -> float | None:
    """Return how far the engine is from the trainer, in the mean over a reply's tokens, in nats.

    `None`: it can't be told: the weights come without a proof, the engine tells no tokens, or the
    chat template prints the date and it is another day.
    """
    proof = read(new.path)
    if proof is None:
        return None
    greedy, choices = Sampling(temperature=0), (proof.text,)
    asked = Request(proof.prompt, greedy, 0, new.name, new.version, choices=choices)
    every = await everywhere(engine, asked)
    await journal.record(_canary(new.name, name), new.version, digest(asked), every[0])
    if not all(said.tokens for said in every):
        return None
    later = proof.day not in ("", str(date.today()))
    same = all(said.prompt_tokens == proof.prompt_tokens for said in every)
    if any(said.tokens != proof.tokens for said in every) or not (same or later):
        raise EngineError(
            f"engine {name!r} reads other tokens than the trainer in the same chat: its tokenizer "
            "or chat template isn't that of the model that was trained"
        )
    if not same:  # on another day it is another prompt
        return None
    gaps = [
        fmean(abs(a - b) for a, b in zip(said.logprobs, proof.logprobs, strict=True))
        for said in every
    ]
    gap = max(gaps, key=lambda gap: (isnan(gap), gap))
    if not gap <= tolerance:
        raise EngineError(
            f"engine {name!r} reports version {new.version} of {new.name!r}, but finds a reply "
            f"{gap:.3g} nats a token more or less likely than the trainer does: it holds other "
            f"weights, or computes otherwise (fit.tolerance: {tolerance:g})"
        )
    for said in every:
        gone = share_gone(said.logprobs, proof.before, proof.logprobs)
        if gone is not None and abs(gone[0]) + ERRORS * gone[1] < 0.5:
            raise EngineError(
                f"engine {name!r} reports version {new.version} of {new.name!r}, but finds a reply "
                "as likely as the version before it did: it holds that one still"
            )
    return gap


async def _prove(engine: Engine, agent: Agent, new: Weights, journal: Journal, task: Task) -> float:
    canary = _canary(new.name, agent.engine)
    keys = [digest(_asks(agent, task, version)) for version in range(new.version)]
    earlier = [v for v, key in enumerate(keys) if journal.recall(canary, v, key)]
    if not earlier:  # nothing but the base has spoken yet
        await ask(engine, journal, canary, 0, _asks(agent, task, 0))
        earlier = [0]
    before = journal.recall(canary, earlier[-1], keys[earlier[-1]])
    assert before is not None
    await engine.load(new)
    held = (await engine.held()).get(new.name)
    if held != new.version:
        raise EngineError(
            f"engine {agent.engine!r} was given version {new.version} of {new.name!r} "
            f"and reports {'none' if held is None else f'version {held}'}"
        )
    request = _asks(agent, task, new.version)
    every = await everywhere(engine, request)
    change = min(moved(before, after) for after in every)
    # Steps may be in the weights' float32 copy already, and not yet in what it is rounded to.
    proof = read(new.path) if change == 0.0 else None
    if change == 0.0 and (proof is None or proof.before != proof.logprobs):
        raise EngineError(
            f"engine {agent.engine!r} reports version {new.version} of {new.name!r}, but its "
            f"canary still has the log-probs of version {earlier[-1]}: the weights did not change"
        )
    await journal.record(canary, new.version, digest(request), every[0])
    return change


def moved(before: Completion, after: Completion) -> float:
    """Return how far log-probabilities moved, in nats, on the tokens both completions begin with.

    Up to and including the first token that differs: there the models disagree for sure.
    """
    change = 0.0
    for i, (one, other) in enumerate(zip(before.logprobs, after.logprobs, strict=False)):
        change = max(change, abs(one - other))
        if before.tokens[i : i + 1] != after.tokens[i : i + 1]:
            return max(change, 1e-6)
    if not before.logprobs and before.text != after.text:
        return 1e-6  # an engine without log-probs: other words are all the proof there is
    return change


def _canary(weights: str, engine: str) -> str:
    """Return the journal's name for what these weights say at their swaps."""
    return f"canary/{weights}/{engine}"


def _asks(agent: Agent, task: Task, version: int) -> Request:
    return Request(agent.prompt(task.prompt), CANARY, 0, agent.weights, version)
