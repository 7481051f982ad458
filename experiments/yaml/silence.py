"""Judges and critics who would never speak: others would do their work, or nobody."""

from collections.abc import Iterator
from typing import get_args

from moot.agents.errors import MootError
from moot.agents.population import Agent, Group, Population
from moot.protocols import ProtocolChoice
from moot.protocols.casting import Everybody

from ..experiment import Experiment
from .source import Problem


def silent(experiment: Experiment) -> Iterator[Problem]:
    """Yield each group of judges or critics whom the protocol never lets speak, or not all."""
    protocol = experiment.protocol
    for i, group in enumerate(experiment.population):
        if "policy" in group.roles:
            continue
        people = _playing(experiment, group)
        speak = _speaking(protocol, people, group)
        own = [agent for agent in people.agents if agent.group == group.name]
        turns = f"have them take turns: `casting: {{kind: round_robin, {group.roles[0]}s: 1}}`"
        if not speak:
            ways = [f"set `{way}`" for way in _ways(protocol, people, group)]
            if not ways and any(a.playing(group.roles[0]) for a in protocol.calls(people)):
                ways = [turns]
            if not ways and "judge" in group.roles and not hasattr(protocol, "talk"):
                ways = [f"take `protocol: {{kind: judged, talk: {{kind: {protocol.kind}}}}}`"]
            wrong = f"'{group.name}' never speaks in protocol {protocol.kind}: leave it out"
            yield ("population", i), ", or ".join([wrong, *ways[:1]])
        elif len(speak) < len(own) and isinstance(experiment.casting, Everybody):
            wrong = f"only '{speak[0].name}' ever speaks of '{group.name}' in protocol"
            way = f"set `count: {len(speak)}`, or {turns}"
            yield ("population", i), f"{wrong} {protocol.kind}: {way}"


def _playing(experiment: Experiment, group: Group) -> Population:
    """Return a cast in which the group speaks if it ever does: it is in it, and comes first."""
    people = experiment.people()
    if isinstance(experiment.casting, Everybody):
        return people
    first = sorted(people.agents, key=lambda agent: agent.group != group.name)
    return next(experiment.casting.extremes(Population(tuple(first))))


def _speaking(protocol: ProtocolChoice, cast: Population, group: Group) -> list[Agent]:
    return [agent for agent in protocol.calls(cast) if agent.group == group.name]


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
        return bool(_speaking(protocol, cast, group))
    except MootError:
        return False
