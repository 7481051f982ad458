"""Who is named to judge: the experts of a cascade, and who judges the evaluation."""

from collections.abc import Iterator, Sequence

from moot.agents.errors import near
from moot.agents.population import Agent
from moot.protocols.judging.cascade import Cascade

from ..experiment import Experiment
from .source import Problem, Steps


def panels(experiment: Experiment) -> Iterator[Problem]:
    """Yield who is named and is no judge, or leaves nobody to judge what others are to."""
    people, evaluation = experiment.people(), experiment.evaluation
    yield from _examiners(experiment)
    talking = [a for a in experiment.talking(people).agents if a.playing("judge")]
    places: dict[Steps, tuple[object, Sequence[Agent]]] = {
        ("protocol", "judging"): (getattr(experiment.protocol, "judging", None), talking),
        ("evaluation", "judging"): (evaluation.judging, experiment.examiners(people)),
    }
    for at, (judging, judges) in places.items():
        if not isinstance(judging, Cascade) or not judges:
            continue
        where = (*at, "experts")
        yield from _named(judging.experts, judges, where)
        if all(judge.among(judging.experts) for judge in judges):
            wrong = "all judges are experts; leave some others to the panel, or take `pairwise`"
            yield where, wrong


def _examiners(experiment: Experiment) -> Iterator[Problem]:
    people, evaluation = experiment.people(), experiment.evaluation
    if evaluation.judging is None:
        return
    judges = [a for a in people.agents if a.playing("judge")]
    if not judges:
        yield ("evaluation", "judging"), "nobody judges here; add an agent with `role: judge`"
    if not people.learners():
        yield ("evaluation", "judging"), "nobody learns, so nothing is there to be compared"
    elif judges and all(judge.weights is not None for judge in judges):
        yield ("evaluation", "judging"), "all judges learn, and nobody judges itself; add another"
    yield from _named(evaluation.judges, judges, ("evaluation", "judges"))
    for i, name in enumerate(evaluation.judges):
        own = next((judge for judge in judges if judge.among([name])), None)
        if own is not None and own.others:
            more = " and ".join({own.role, *own.others} - {"judge"})
            wrong = f"{name} is {more} too, and who is named here does nothing but judge this"
            yield ("evaluation", "judges", i), wrong


def _named(names: Sequence[str], judges: Sequence[Agent], at: Steps) -> Iterator[Problem]:
    known = {name for a in judges for name in (a.name, a.group)}
    for i, name in enumerate(names):
        if name not in known:
            yield (*at, i), f"no judge and no group of them is called '{name}'{near(name, known)}"
