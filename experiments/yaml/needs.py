"""What the parts of an experiment need of each other, and lack: learners, judges, files."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from moot.agents.endpoint import Endpoint
from moot.agents.errors import InputError, near
from moot.agents.human.human import Human
from moot.agents.own_class import named
from moot.agents.population import Role
from moot.agents.questions import truth
from moot.agents.simulated import Simulated
from moot.agents.types import Settings
from moot.protocols import ProtocolChoice
from moot.protocols.consensus import Consensus
from moot.protocols.judging.cascade import Cascade
from moot.protocols.selection import Selection
from moot.protocols.types import Held
from moot.training import MethodChoice
from moot.training.methods.laser import LaSeR
from moot.training.methods.rlvr import RLVR
from moot.training.methods.sft import SFT
from moot.training.methods.sum import Sum
from moot.training.policy_gradient.objective import Objective
from moot.training.preferring import Preferring

from ..experiment import Experiment
from ..tasks.apart import Apart
from ..tasks.split import Split
from .source import Problem, Steps


def told(experiment: Experiment) -> Iterator[Problem]:
    """Yield what the talk, or the judges' weight, goes by and nobody would tell."""
    protocol = experiment.protocol
    talk, at = _talk(protocol)
    if _ours(talk) and getattr(talk, "weigh", None) == "trust" and talk is protocol:
        wrong = "nobody judges here, so all are trusted alike; have it judged, or weigh otherwise"
        yield (*at, "weigh"), wrong
    yield from _weighing(experiment)
    yield from _untaught(experiment)
    if not isinstance(talk, Consensus | Selection):
        return
    policies = experiment.people().playing("policy")
    asked = {
        ("weigh", "likelihood"): policies,
        ("by", "perplexity"): policies,
        ("by", "mutual"): policies[:1],  # the frozen one behind it
    }
    for (key, way), agents in asked.items():
        engines = {agent.engine: experiment.engines[agent.engine] for agent in agents}
        mute = [n for n, one in engines.items() if isinstance(one, Endpoint | Simulated | Human)]
        if mute and getattr(talk, key, None) == way:
            kind = engines[mute[0]].kind
            yield (*at, key), f"engine '{mute[0]}' ({kind}) doesn't tell how likely a text is"


def _weighing(experiment: Experiment) -> Iterator[Problem]:
    """Yield where people are to weigh judges, and judge nothing, or nothing but the hard cases."""
    if experiment.trust != "people":
        return
    talking, judging = experiment.talking(experiment.people()), experiment.protocol
    persons = [a for a in talking.agents if a.name in experiment.persons() and a.playing("judge")]
    if not persons or not hasattr(judging, "judging"):
        yield ("trust",), "no person judges here, by whom the others could be weighed"
    cascade = getattr(judging, "judging", None)
    if not persons or not isinstance(cascade, Cascade):
        return
    if all(person.among(cascade.experts) for person in persons):
        yield (
            ("trust",),
            "people are asked only what the others aren't sure of, by which nobody can be weighed; "
            "take `equal`, or have them judge all",
        )


def _talk(protocol: ProtocolChoice) -> tuple[object, Steps]:
    """Return the talk that is a protocol, or within one, and where it stands in the file."""
    inner = getattr(protocol, "talk", None)
    within = isinstance(inner, Settings)
    return (inner, ("protocol", "talk")) if within else (protocol, ("protocol",))


def _ours(talk: object) -> bool:
    """Return whether a talk's options are ours: one of the user's own may have any by any name."""
    return named(type(talk)) is None


def _untaught(experiment: Experiment) -> Iterator[Problem]:
    """Yield where verdicts are read of agents of whom none learns to give any.

    All weights begin as their base model, which gives none: only the run's own method teaches them.
    """
    talk, at = _talk(experiment.protocol)
    judging = getattr(getattr(experiment.protocol, "judging", None), "kind", None)
    read: dict[Steps, tuple[Role, str | None]] = {
        ("protocol", "judging", "kind"): ("judge", judging),
    }
    for option in ("weigh", "by") if _ours(talk) else ():
        read[*at, option] = ("policy", getattr(talk, option, None))
    taught = isinstance(experiment.method, LaSeR)
    for place, (role, way) in read.items():
        if way != "self_reward":
            continue
        if not (taught and any(a.weights is not None for a in experiment.people().playing(role))):
            wrong = f"no {role} learns to give verdicts here; that takes `method: {{kind: laser}}`"
            yield place, f"{wrong} and a {role} that `learns`"


def learning(experiment: Experiment) -> Iterator[Problem]:
    """Yield what keeps those who are to learn from it, or the method from teaching anybody."""
    engines, method = experiment.engines, experiment.method
    for i, group in enumerate(experiment.population):
        if not group.learns:
            continue
        at = ("population", i, "learns")
        engine = engines.get(group.engine or next(iter(engines)))
        if engine is not None and engine.trains is None:
            name = "; name it as the engine's `model`" if hasattr(engine, "model") else ""
            yield at, f"its engine ({engine.kind}) has no model that can be trained{name}"
        if method is None:
            yield at, "there is no method to learn by; add `method: {kind: cat}`"
        if "policy" not in group.roles:
            yield at, f"only policies learn, and this is a {' and '.join(group.roles)}"
    if method is not None:
        yield from _teaching(experiment, method)


def _teaching(experiment: Experiment, method: MethodChoice) -> Iterator[Problem]:
    """Yield what keeps the method from teaching anybody."""
    protocol = experiment.protocol
    if experiment.fit.guards.commonest is not None and isinstance(method, Preferring | SFT):
        wrong = f"{method.kind} learns from texts, of which no answers are kept; guard `distinct`"
        yield ("fit", "guards", "commonest"), wrong
    yield from _asked(experiment, method)
    if isinstance(method, SFT) and method.file is None:  # a file has names of its own
        for name in sorted((method.weigh or {}).keys() - set(get_args(Held))):
            wrong = f"no protocol holds up a '{name}'{near(name, get_args(Held))}"
            yield ("method", "weigh", name), wrong
    if not any(group.learns for group in experiment.population):
        yield ("method",), "nobody learns; set `learns: true` for a policy, or leave `method` out"
    several = isinstance(method, Sum)
    for i, one in enumerate(method.of if several else (method,)):
        if one.needs is not None and one.needs not in protocol.yields:
            what = "a reference" if one.needs == "reference" else one.needs
            learner = _learner(one)
            alone = learner is not None and learner.file is not None
            yield (
                ("method", *(("of", i) if several else ()), "kind"),
                f"{one.kind} learns from {what}, and protocol {protocol.kind} yields none"
                + ("; `talk: false` beside the `file` learns from it alone" if alone else ""),
            )


def _learner(method: MethodChoice) -> Preferring | SFT | None:
    """Return what may learn from a file: a method, or its reward model; `None`: nothing."""
    return method if isinstance(method, Preferring | SFT) else method.reward_model


def _file(method: MethodChoice | None) -> Steps:
    """Return where the file is named."""
    return ("method", "file") if hasattr(method, "file") else ("method", "model", "file")


def _given(learner: Preferring | SFT, file: Path, at: Steps) -> Iterator[Problem]:
    """Yield what keeps a file from teaching anything: all of it is read."""
    if not file.is_file():
        yield at, f"no such file: {file}"
        return
    try:
        teaches = sum(1 for _ in learner.given() or ())
    except InputError as error:
        yield at, str(error)
        return
    if not teaches:
        yield at, f"{file}: teaches nothing: no row has a {_wanted(learner)}"


def _wanted(learner: Preferring | SFT) -> str:
    """Return what a row must have to be learnt from."""
    if isinstance(learner, SFT):
        return "`name` that `weigh` lets count"
    least = "above 0.5" if learner.sure == 0.5 else f"of {learner.sure:g} (`sure`) or more"
    return f"probability {least}"


def _asked(experiment: Experiment, method: MethodChoice) -> Iterator[Problem]:
    """Yield what the method asks for that isn't there: a file, or a temperature."""
    learner = _learner(method)
    if learner is not None and learner.file is not None:
        yield from _given(learner, Path(learner.file), _file(method))
    objective = getattr(method, "objective", None)
    if not isinstance(objective, Objective):
        objective = None
    corrects = objective is not None and objective.correct is not None
    for i, group in enumerate(experiment.population):
        if not group.learns:
            continue
        at = ("population", i, "sampling")
        samplings = group.sampling if isinstance(group.sampling, tuple) else (group.sampling,)
        if isinstance(method, LaSeR) and any(sampling.stop for sampling in samplings):
            yield at, "method laser learns a verdict after a reply's own end: leave `stop` out"
        if corrects and any(sampling.temperature != 1 for sampling in samplings):
            wrong = "method.objective.correct needs temperature 1: engines tell log-probs before it"
            yield at, wrong
        least = min(sampling.max_tokens for sampling in samplings)
        if objective is not None and objective.overlong > least:
            wrong = f"{objective.overlong} is more than the {least} tokens of a reply of"
            yield ("method", "objective", "overlong"), f"{wrong} '{group.name}'; take fewer"


def unknown(experiment: Experiment, split: Split) -> Iterator[Problem]:
    """Yield what must be known of the tasks, by who answers them or by the method, and isn't."""
    simulated = any(isinstance(one, Simulated) for one in experiment.engines.values())
    if simulated and not any(truth(task.prompt) for task in (*split.train, *split.held_out)):
        wrong = "a simulated engine has an opinion on none of these; `tasks: {kind: simulated}`"
        yield ("tasks",), wrong
    learner = None if experiment.method is None else _learner(experiment.method)
    given = None if learner is None else Apart(split.reserved)(learner.given())
    if given is not None and next(given, None) is None:
        yield _file(experiment.method), "all that it asks is held out here; hold out something else"
    wrong = "no task to learn from has a known answer, by which replies could be verified"
    if all(task.answer is None for task in split.train):
        for at, instead in verifying(experiment.method):
            yield at, f"{wrong}; {instead}"


def verifying(method: MethodChoice | None) -> Iterator[Problem]:
    """Yield where rewards are of the tasks' known answers, and what learns without them."""
    if isinstance(method, LaSeR) and method.reward == "verified":
        yield ("method", "reward"), "`reward: match` learns from a reference"
    summed = method.of if isinstance(method, Sum) else (method,)
    for i, one in enumerate(summed):
        if isinstance(one, RLVR):
            at = ("method", "of", i, "kind") if len(summed) > 1 else ("method", "kind")
            yield at, "`cat` and `ttrl` learn from what agents answer"
