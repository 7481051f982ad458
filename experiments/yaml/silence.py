"""Judges and critics who would never speak: others would do their work, or nobody."""

from collections.abc import Iterator
from typing import get_args

from moot.agents.errors import MootError
from moot.agents.population import Group, Population
from moot.protocols import ProtocolChoice
from moot.protocols.casting import Everybody

from ..experiment import Experiment
from .source import Problem


def silent(experiment: Experiment) -> Iterator[Problem]:
    """Yield each group of judges or critics whom, or some of whom, the protocol never lets speak."""
    protocol = experiment.protocol
    for i, group in enumerate(experiment.population):
        if "policy" in group.roles:
            continue
        people = _playing(experiment, group)
        own = [agent.name for agent in people.agents if agent.group == group.name]
        speak = [agent.name for agent in protocol.calls(people) if agent.group == group.name]
        turns = [f"have them take turns: `casting: {{kind: round_robin, {group.role}s: 1}}`"]
        if not speak:
            ways = [f"set `{way}`" for way in _ways(protocol, people, group)]
            if not ways and any(group.role in a.roles for a in protocol.calls(people)):
                ways = turns
            if not ways and "judge" in group.roles and not hasattr(protocol, "talk"):
                ways = [f"take `protocol: {{kind: judged, talk: {{kind: {protocol.kind}}}}}`"]
            wrong = f"'{group.name}' never speaks in protocol {protocol.kind}: leave it out"
            yield ("population", i), ", or ".join([wrong, *ways[:1]])
        elif len(speak) < len(own) and isinstance(experiment.casting, Everybody):
            wrong = f"of '{group.name}' only {', '.join(speak)} ever speaks in protocol "
            ways = [f"{wrong}{protocol.kind}: set `count: {len(speak)}`", *turns]
            yield ("population", i), ", or ".join(ways)


def _playing(experiment: Experiment, group: Group) -> Population:
    """Return a cast in which the group speaks if it ever does: it is in it, and comes first."""
    people = experiment.people()
    if isinstance(experiment.casting, Everybody):
        return people
    first = sorted(people.agents, key=lambda agent: agent.group != group.name)
    return next(experiment.casting.extremes(Population(tuple(first))))


def _speaks(protocol: ProtocolChoice, cast: Population, group: Group) -> bool:
    return any(agent.group == group.name for agent in protocol.calls(cast))


def _ways(protocol: ProtocolChoice, cast: Population, group: Group) -> Iterator[str]:
    """Yield the options, of the protocol or of the talk within it, that let the group speak."""
    talk: ProtocolChoice | None = getattr(protocol, "talk", None)
    if talk is not None:
        for way, other in _changed(talk):
            if _lets(protocol.model_copy(update={"talk": other}), cast, group):
                yield f"protocol.talk.{way}"
    for way, other in _changed(protocol):
        if _lets(other, cast, group):
            yield f"protocol.{way}"


def _changed(protocol: ProtocolChoice) -> Iterator[tuple[str, ProtocolChoice]]:
    """Yield the protocol with one option set otherwise, for every word or `true` it may be."""
    for key, field in type(protocol).model_fields.items():
        for value in (True,) if field.annotation is bool else get_args(field.annotation):
            if isinstance(value, str | bool):
                yield f"{key}: {str(value).lower()}", protocol.model_copy(update={key: value})


def _lets(protocol: ProtocolChoice, cast: Population, group: Group) -> bool:
    try:
        return _speaks(protocol, cast, group)
    except MootError:
        return False
