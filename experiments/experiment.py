"""The experiment: everything that decides a run, as one frozen model."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from moot.agents.endpoint import Endpoint
from moot.agents.errors import MootError
from moot.agents.local import Local
from moot.agents.models import check as check_model
from moot.agents.population import Group, Population
from moot.agents.scripted import Scripted
from moot.agents.types import Name, Settings
from moot.agents.vllm import VLLM
from moot.protocols import ProtocolChoice
from moot.protocols.stage import StageSettings
from moot.training import MethodChoice
from moot.training.settings import Fit

from .evaluation import Evaluation
from .faults import lines, near
from .source import ExperimentError, Source, Steps, assign, read
from .tasks import TaskSource

EngineChoice = Annotated[Scripted | Local | VLLM | Endpoint, Field(discriminator="kind")]


class Experiment(Settings):
    """One experiment."""

    name: Name
    seed: int = Field(default=0, ge=0)
    """Decides every draw: tasks, adapters, sampling."""
    cycles: int = Field(default=2, ge=0, le=10_000)
    """How often the population talks and learns; 0 evaluates it as it is."""
    engines: dict[Name, EngineChoice] = Field(min_length=1)
    """What turns prompts into words, by a name of your own."""
    population: tuple[Group, ...] = Field(min_length=1)
    """Who speaks, in the order they speak."""
    tasks: TaskSource
    protocol: ProtocolChoice
    """How they interact."""
    method: MethodChoice | None = None
    """How they learn; needed as soon as someone learns."""
    fit: Fit = Fit()
    """How long and how fast they learn."""
    evaluation: Evaluation = Evaluation()
    stage: StageSettings = StageSettings()
    made_with: dict[str, str] | None = None
    """Written by `moot run`: versions and the tasks' fingerprint; not read back."""

    def people(self) -> Population:
        """Return the population, speaking with version 0 of everything."""
        only = next(iter(self.engines))
        return Population(tuple(a for group in self.population for a in group.agents(only)))


def load(path: Path, sets: Sequence[str] = ()) -> Experiment:
    """Return the experiment in the file at `path`, with each `path.to.key=value` of `sets` set.

    Task paths become absolute: they are relative to the file's folder.

    Raises:
        ExperimentError: all that is wrong with it, a line each, by place.
    """
    source = read(path)
    for setting in sets:
        source = assign(source, setting)
    if not isinstance(source.data, dict):
        raise ExperimentError(f"{source.place(())}: expected a mapping of keys to values")
    _anchor_paths(source, path.resolve().parent)
    try:
        experiment = Experiment.model_validate(source.data)
    except ValidationError as error:
        raise _told(lines(error, source, Experiment)) from None
    if problems := list(_contradictions(experiment)):
        raise _told(
            [(source.place(path), f"{'.'.join(map(str, path))}: {text}") for path, text in problems]
        )
    return experiment


def _anchor_paths(source: Source, base: Path) -> None:
    tasks = source.data.get("tasks")
    for key in ("path", "held_out_path"):
        if isinstance(tasks, dict) and isinstance(path := tasks.get(key), str) and "\0" not in path:
            tasks[key] = str(base / path)


def _told(found: Sequence[tuple[str, str]]) -> ExperimentError:
    def order(item: tuple[str, str]) -> tuple[int, ...]:
        numbers = item[0].rsplit(":", 2)[1:]
        return tuple(int(n) for n in numbers if n.isdecimal())

    ranked = sorted(dict.fromkeys(found), key=order)
    return ExperimentError("\n".join(f"{place} {text}" for place, text in ranked))


def _contradictions(experiment: Experiment) -> Iterator[tuple[Steps, str]]:
    """Yield (path, message) for what is wrong between parts that are each right by themselves."""
    engines = experiment.engines
    for name, engine in engines.items():
        model = engine.trains
        if model is not None and (wrong := check_model(model)):
            yield ("engines", name, "model"), wrong
    used = {group.engine or next(iter(engines)) for group in experiment.population}
    for i, group in enumerate(experiment.population):
        at = ("population", i)
        if group.engine is None and len(engines) > 1:
            yield at, f"say which engine: {', '.join(engines)}"
            continue
        name = group.engine or next(iter(engines))
        if name not in engines:
            yield (*at, "engine"), f"no engine '{name}'{near(name, engines)}"
        elif group.learns and engines[name].trains is None:
            kind = engines[name].kind
            yield (*at, "learns"), f"engine '{name}' ({kind}) has no model that can be trained"
        if group.learns and experiment.method is None:
            yield (*at, "learns"), "there is no method to learn by; add `method: {kind: cat}`"
        if group.learns and group.role != "policy":
            yield (*at, "learns"), f"only policies learn, and this is a {group.role}"
    for name in engines:
        if name not in used:
            yield ("engines", name), "nobody speaks through this engine"
    names = Counter(a.name for g in experiment.population for a in g.agents(""))
    for name, n in names.items():
        if n > 1:
            yield ("population",), f"{n} agents are called '{name}'; names must be unique"
            return
    if experiment.method is not None and not any(g.learns for g in experiment.population):
        yield ("method",), "nobody learns; set `learns: true` for a policy, or leave `method` out"
    try:
        experiment.protocol.check(experiment.people())
    except MootError as error:
        yield ("protocol",), str(error)
