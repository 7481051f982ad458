"""Swap: engines take up new weights, and prove it.

An HTTP 200 is no proof that other weights speak now.  Three things are: the engine, asked, reports
the version; every completion is stamped with the version that the engine says spoke, and the gate
refuses any other; and the log-probabilities of a canary, a fixed prompt with a fixed seed, moved.
"""

from collections.abc import Iterable, Mapping

from moot.agents.errors import EngineError
from moot.agents.population import Agent, Population
from moot.agents.types import Completion, Engine, Request, Sampling, Task, Weights
from moot.protocols.journal import Journal, Metric
from moot.protocols.stage import ask

CANARY = Sampling(temperature=2.0, max_tokens=8)
"""Hot, so that it says what is unlikely: the likeliest words of a model that is sure of them have a
log-probability of exactly 0 in every version."""


async def swap(
    engines: Mapping[str, Engine],
    people: Population,
    weights: Iterable[Weights],
    journal: Journal,
    task: Task,
    cycle: int,
) -> list[Metric]:
    """Load `weights` into the engines of the agents that speak with them, and prove each.

    Args:
        engines: by name.
        people: the population, at the versions that spoke so far.
        weights: the new versions.
        journal: remembers what each version said to the canary.
        task: whose prompt is the canary.
        cycle: whose metrics these are.

    Returns:
        `swap/canary_change`: how far the canary's log-probabilities moved, at most, in nats.

    Raises:
        EngineError: an engine does not report the version, or its canary has not moved.
    """
    metrics: list[Metric] = []
    for new in weights:
        for agent in {a.engine: a for a in people.learners()[new.name]}.values():
            change = await _prove(engines[agent.engine], agent, new, journal, task)
            name = f"swap/canary_change{'' if len(people.learners()) == 1 else '@' + new.name}"
            metrics.append(Metric(cycle, name, change))
    return metrics


async def _prove(engine: Engine, agent: Agent, new: Weights, journal: Journal, task: Task) -> float:
    canary = f"canary/{new.name}/{agent.engine}"
    earlier = [v for v in range(new.version) if (journal.recall(canary, v, _asks(agent, task, v)))]
    if not earlier:  # nothing but the base has spoken yet
        await ask(engine, journal, canary, 0, _asks(agent, task, 0))
        earlier = [0]
    before = journal.recall(canary, earlier[-1], _asks(agent, task, earlier[-1]))
    assert before is not None
    await engine.load(new)
    held = (await engine.held()).get(new.name)
    if held != new.version:
        raise EngineError(
            f"engine {agent.engine!r} was given version {new.version} of {new.name!r} "
            f"and reports {'none' if held is None else f'version {held}'}"
        )
    request = _asks(agent, task, new.version)
    after = await engine.generate(request)
    if (change := moved(before, after)) == 0.0:
        raise EngineError(
            f"engine {agent.engine!r} reports version {new.version} of {new.name!r}, but its "
            f"canary still has the log-probs of version {earlier[-1]}: the weights did not change"
        )
    journal.record(canary, new.version, request, after)
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


def _asks(agent: Agent, task: Task, version: int) -> Request:
    return Request(agent.prompt(task.prompt), CANARY, 0, agent.weights, version)
