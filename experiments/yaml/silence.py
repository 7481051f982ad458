"""Judges and critics who would never speak: others would do their work, or nobody."""

from collections.abc import Iterator, Sequence
from typing import get_args

from moot.agents.errors import MootError
from moot.agents.own_class import named
from moot.agents.population import Agent, Population
from moot.agents.types import Settings
from moot.protocols import ProtocolChoice
from moot.protocols.casting import Casting, Some

from ..experiment import Experiment
from .source import Problem


def silent(experiment: Experiment) -> Iterator[Problem]:
    """Yield each group of judges or critics whom the protocol never lets speak, or not all."""
    everybody, casting, protocol = experiment.people(), experiment.casting, experiment.protocol
    people, examine = experiment.talking(everybody), experiment.examiners(everybody)
    examiners = {agent.name for agent in examine}
    for i, group in enumerate(experiment.population):
        own = [
            agent
            for agent in everybody.agents
            if agent.group == group.name and agent.name not in examiners
        ]
        if not own:
            continue
        # Where one of a role speaks for all it is the first, so that the last tells.
        if "policy" in group.roles or _speaks(protocol, casting, people, own[-1]):
            continue
        speak = [agent for agent in own if _speaks(protocol, casting, people, agent)]
        if speak:
            wrong = f"only '{speak[0].name}' ever speaks of '{group.name}' in protocol"
            ways = [f"set `count: {len(speak)}`"]
        else:
            wrong = f"'{group.name}' never speaks in protocol"
            ways = ["leave it out", *_ways(protocol, casting, people, own[0])][:2]
        if len(ways) < 2:
            ways += _turns(protocol, casting, people, own)
        if len(ways) < 2 and not speak and "judge" in group.roles and not hasattr(protocol, "talk"):
            talk = named(type(protocol)) or protocol.kind
            ways += [f"take `protocol: {{kind: judged, talk: {{kind: {talk}}}}}`"]
        yield ("population", i), f"{wrong} {protocol.kind}: {', or '.join(ways)}"


def _speaks(protocol: ProtocolChoice, casting: Casting, people: Population, agent: Agent) -> bool:
    """Return whether there is a cast in which an agent speaks."""
    try:
        return any(one.name == agent.name for one in protocol.calls(casting.for_one(people, agent)))
    except MootError:
        return False


def _turns(
    protocol: ProtocolChoice, casting: Casting, people: Population, own: Sequence[Agent]
) -> Iterator[str]:
    """Yield how agents of whom one alone would speak take turns, if they can."""
    seat = {f"{own[0].role}s": 1}
    if isinstance(casting, Some):
        other, way = casting.model_copy(update=seat), f"casting.{own[0].role}s: 1"
    else:
        other = Some(kind="round_robin", **seat)
        way = f"casting: {{kind: round_robin, {own[0].role}s: 1}}"
    if all(_speaks(protocol, other, people, agent) for agent in own):
        yield f"have them take turns: `{way}`"


def _ways(
    protocol: ProtocolChoice, casting: Casting, people: Population, agent: Agent
) -> Iterator[str]:
    """Yield the options, of the protocol or of the talk within it, that let an agent speak."""
    talk: ProtocolChoice | None = getattr(protocol, "talk", None)
    if isinstance(talk, Settings):
        for way, other in _changed(talk):
            if _speaks(protocol.model_copy(update={"talk": other}), casting, people, agent):
                yield f"set `protocol.talk.{way}`"
    for way, other in _changed(protocol):
        if _speaks(other, casting, people, agent):
            yield f"set `protocol.{way}`"


def _changed(protocol: ProtocolChoice) -> Iterator[tuple[str, ProtocolChoice]]:
    """Yield the protocol with one option set otherwise, for every word or `true` it may be."""
    for key, field in type(protocol).model_fields.items():
        for value in (True,) if field.annotation is bool else get_args(field.annotation):
            if isinstance(value, str | bool):
                yield f"{key}: {str(value).lower()}", protocol.model_copy(update={key: value})
