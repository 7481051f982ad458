"""From a file to an experiment and its tasks, or to all that is wrong with it."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from moot.agents.endpoint import Endpoint
from moot.agents.errors import InputError, MootError, near
from moot.agents.facts import facts
from moot.agents.models import check as check_model
from moot.agents.questions import truth
from moot.agents.simulated import Simulated
from moot.agents.vllm import VLLM
from moot.protocols.consensus import Consensus
from moot.protocols.selection import Selection
from moot.training.methods.laser import LaSeR
from moot.training.methods.sum import Sum
from moot.training.settings import Lora

from .experiment import EngineChoice, Experiment
from .faults import lines
from .source import Source, Steps, assign, read
from .tasks.split import Split

Problem = tuple[Steps, str]
"""Where in the file, and what is wrong there."""


def load(path: Path, sets: Sequence[str] = ()) -> tuple[Experiment, Split]:
    """Return the experiment in the file at `path`, and its tasks; no model is started.

    Folders and task files are named relative to the experiment file's folder.

    Args:
        path: the file.
        sets: `path.to.key=value`, each set before anything is checked.

    Raises:
        InputError: all that is wrong, a line each, by place.
    """
    source = read(path)
    for setting in sets:
        source = assign(source, setting)
    if not isinstance(source.data, dict):
        raise InputError(f"{source.place(())}: expected a mapping of keys to values")
    try:
        experiment = Experiment.model_validate(source.data, context=path.resolve().parent)
    except ValidationError as error:
        raise _error(lines(error, source, Experiment)) from None
    if problems := list(_contradictions(experiment)):
        raise _error([_placed(problem, source) for problem in problems])
    try:
        split = experiment.tasks.load(experiment.seed)
    except MootError as error:
        raise _error([_placed((("tasks",), str(error)), source)]) from None
    if problems := list(_unknown(experiment, split)):
        raise _error([_placed(problem, source) for problem in problems])
    return experiment, split


def _placed(problem: Problem, source: Source) -> tuple[str, str]:
    path, text = problem
    return source.place(path), f"{'.'.join(map(str, path))}: {text}"


def _error(found: Sequence[tuple[str, str]]) -> InputError:
    """Return the error that says all of `found` (place, message), in the file's order."""

    def order(item: tuple[str, str]) -> tuple[int, ...]:
        numbers = item[0].rsplit(":", 2)[1:]
        return tuple(int(n) for n in numbers if n.isdecimal())

    ranked = sorted(dict.fromkeys(found), key=order)
    return InputError("\n".join(f"{place} {text}" for place, text in ranked))


def _contradictions(experiment: Experiment) -> Iterator[Problem]:
    """Yield what is wrong between parts that are each right by themselves."""
    population = list(_population(experiment))
    yield from population
    yield from _engines(experiment)
    yield from _learning(experiment)
    if population:  # the rest would only follow from it
        return
    for name in experiment.engines.keys() - {a.engine for a in experiment.people().agents}:
        yield ("engines", name), "nobody speaks through this engine"
    try:
        casts = list(experiment.casting.extremes(experiment.people()))
    except MootError as error:
        yield ("casting",), str(error)
        return
    try:
        for cast in casts:
            experiment.protocol.calls(cast)
    except MootError as error:
        yield ("protocol",), str(error)
        return
    yield from _told(experiment)


def _told(experiment: Experiment) -> Iterator[Problem]:
    """Yield what the talk goes by and nobody would tell it."""
    protocol = experiment.protocol
    talk = getattr(protocol, "talk", protocol)
    at = ("protocol",) if talk is protocol else ("protocol", "talk")
    if getattr(talk, "weigh", None) == "trust" and talk is protocol:
        wrong = "nobody judges here, so all are trusted alike; have it judged, or weigh otherwise"
        yield (*at, "weigh"), wrong
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
        mute = [n for n, one in engines.items() if isinstance(one, Endpoint | Simulated)]
        if mute and getattr(talk, key, None) == way:
            kind = engines[mute[0]].kind
            yield (*at, key), f"engine '{mute[0]}' ({kind}) doesn't tell how likely a text is"


def _engines(experiment: Experiment) -> Iterator[Problem]:
    for name, engine in experiment.engines.items():
        if engine.trains is not None and (wrong := check_model(engine.trains)):
            yield ("engines", name, "model"), wrong
        elif any(g.learns and (g.engine or name) == name for g in experiment.population):
            yield from _training(name, engine, experiment.fit.lora)


def _training(name: str, engine: EngineChoice, lora: Lora | None) -> Iterator[Problem]:
    """Yield what keeps the model behind an engine from being trained as `fit` has it."""
    if lora is None:
        return
    if isinstance(engine, VLLM) and lora.rank > engine.max_lora_rank:
        wrong = f"{engine.max_lora_rank} is less than fit.lora.rank, {lora.rank}"
        yield ("engines", name, "max_lora_rank"), wrong
    known = facts(engine.trains) if engine.trains is not None else None
    if known is None:
        return
    for target in lora.targets if known.linear and lora.targets != "all-linear" else ():
        layer = target.rpartition(".")[2]
        if layer not in known.linear:
            wrong = f"{engine.trains} has no linear layer '{target}'{near(layer, known.linear)}"
            yield ("fit", "lora", "targets"), wrong


def _population(experiment: Experiment) -> Iterator[Problem]:
    engines = experiment.engines
    for i, group in enumerate(experiment.population):
        if group.engine is None and len(engines) > 1:
            yield ("population", i), f"say which engine: {', '.join(engines)}"
        elif group.engine is not None and group.engine not in engines:
            wrong = f"no engine '{group.engine}'{near(group.engine, engines)}"
            yield ("population", i, "engine"), wrong
    groups = Counter(group.name for group in experiment.population)
    if twice := [name for name, n in groups.items() if n > 1]:
        yield ("population",), f"{groups[twice[0]]} groups are called '{twice[0]}'; use `count`"
        return
    try:
        experiment.people()
    except MootError as error:
        yield ("population",), str(error)


def _learning(experiment: Experiment) -> Iterator[Problem]:
    engines, method, protocol = experiment.engines, experiment.method, experiment.protocol
    for i, group in enumerate(experiment.population):
        at = ("population", i, "learns")
        engine = engines.get(group.engine or next(iter(engines)))
        if not group.learns:
            continue
        if engine is not None and engine.trains is None:
            name = "; name it as the engine's `model`" if hasattr(engine, "model") else ""
            yield at, f"its engine ({engine.kind}) has no model that can be trained{name}"
        if method is None:
            yield at, "there is no method to learn by; add `method: {kind: cat}`"
        if "policy" not in group.roles:
            yield at, f"only policies learn, and this is a {' and '.join(group.roles)}"
    if method is None:
        return
    if experiment.fit.guards.kl is not None and not hasattr(method, "objective"):
        wrong = f"{method.kind} doesn't learn from what the policy has just said, by which alone"
        yield ("fit", "guards", "kl"), f"{wrong} its KL can be told; guard `loss` or `grad_norm`"
    yield from _asked(experiment)
    if not any(group.learns for group in experiment.population):
        yield ("method",), "nobody learns; set `learns: true` for a policy, or leave `method` out"
    several = isinstance(method, Sum)
    for i, one in enumerate(method.of if several else (method,)):
        if one.needs is not None and one.needs not in protocol.yields:
            yield (
                ("method", *(("of", i) if several else ()), "kind"),
                f"{one.kind} learns from a {one.needs}, and protocol {protocol.kind} yields none",
            )


def _unknown(experiment: Experiment, split: Split) -> Iterator[Problem]:
    """Yield what must be known of the tasks, by who answers them or by the method, and isn't."""
    simulated = any(isinstance(one, Simulated) for one in experiment.engines.values())
    if simulated and not any(truth(task.prompt) for task in (*split.train, *split.held_out)):
        wrong = "a simulated engine has an opinion on none of these; `tasks: {kind: simulated}`"
        yield ("tasks",), wrong
    method = experiment.method
    verifies = isinstance(method, LaSeR) and method.reward == "verified"
    if verifies and all(task.answer is None for task in split.train):
        wrong = "no task to learn from has a known answer, by which replies could be verified"
        yield ("method", "reward"), f"{wrong}; `reward: match` learns from a reference"


def _preferences(file: Path, at: Steps) -> Iterator[Problem]:
    """Yield what keeps a file of preferences from being read: all of it is."""
    from moot.training.preferences import read as preferences

    if not file.is_file():
        yield at, f"no such file: {file}"
        return
    try:
        deque(preferences(file), maxlen=0)
    except InputError as error:
        yield at, str(error)


def _asked(experiment: Experiment) -> Iterator[Problem]:
    """Yield what the method asks for that isn't there: a file, or a temperature."""
    method = experiment.method
    judge = None if method is None else method.reward_model
    own = getattr(method, "file", None)
    file, at = (own, ()) if own is not None or judge is None else (judge.file, ("model",))
    if file is not None:
        yield from _preferences(Path(file), ("method", *at, "file"))
    objective = getattr(method, "objective", None)
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
