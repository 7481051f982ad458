"""From a file to an experiment and its tasks, or to all that is wrong with it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from moot.agents.errors import InputError, MootError, near
from moot.agents.serving.vllm import VLLM
from moot.agents.weights.facts import facts
from moot.agents.weights.models import check as check_model
from moot.training.settings import Fit

from ..experiment import EngineChoice, Experiment
from ..tasks.split import Split
from .crowding import crowded
from .faults import lines
from .needs import learning, told, unknown
from .panels import panels
from .silence import silent
from .source import Problem, Source, assign, read


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
    if problems := list(unknown(experiment, split)):
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
    yield from learning(experiment)
    yield from crowded(experiment)
    if population:  # the rest would only follow from it
        return
    for name in experiment.engines.keys() - {a.engine for a in experiment.people().agents}:
        yield ("engines", name), "nobody speaks through this engine"
    people = experiment.talking(experiment.people())
    yield from panels(experiment)
    try:
        casts = list(experiment.casting.extremes(people))
    except MootError as error:
        yield ("casting",), str(error)
        return
    try:
        for cast in casts:
            experiment.protocol.calls(cast)
    except MootError as error:
        alone = "; evaluation.judges judge nothing else" if experiment.evaluation.judges else ""
        yield ("protocol",), f"{error}{alone}"
        return
    yield from told(experiment)
    yield from silent(experiment)


def _engines(experiment: Experiment) -> Iterator[Problem]:
    ports: dict[int, str] = {}
    for name, engine in experiment.engines.items():
        port = getattr(engine, "port", None)
        if port is not None and (other := ports.setdefault(port, name)) != name:
            yield ("engines", name, "port"), f"engine '{other}' has this port already"
        if engine.trains is not None and (wrong := check_model(engine.trains)):
            yield ("engines", name, "model"), wrong
        elif any(g.learns and (g.engine or name) == name for g in experiment.population):
            yield from _training(name, engine, experiment.fit)


def _training(name: str, engine: EngineChoice, fit: Fit) -> Iterator[Problem]:
    """Yield what keeps the model behind an engine from being trained as `fit` has it."""
    lora, held = fit.lora, engine.precision
    if lora is None:
        if held == "nf4":
            yield ("engines", name), "all weights learn (`fit.lora: null`), which 4 bits don't hold"
        return
    if held is not None and fit.tolerance == "auto" and fit.quantized != (held == "nf4"):
        yield (
            ("fit", "quantized"),
            f"engine '{name}' would speak with other weights than those that learn: have both in 4 "
            "bits, or neither, or set fit.tolerance",
        )
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
