"""GPUs that a server keeps for itself and that the training is to have too."""

from collections.abc import Iterator

from moot.agents.serving.vllm import VLLM

from ..experiment import Experiment
from .source import Problem


def crowded(experiment: Experiment) -> Iterator[Problem]:
    """Yield each engine whose servers leave no room on a GPU that trains.

    That is known only where somebody says which GPUs are whose.  Who sets
    `gpu_memory_utilization` lower than it is by default has left room.
    """
    fit = experiment.fit
    if fit.device == "cpu" or not any(group.learns for group in experiment.population):
        return
    trains = fit.gpus or range(fit.processes)
    for name, engine in experiment.engines.items():
        if not isinstance(engine, VLLM) or engine.url is not None or engine.sleep:
            continue
        if engine.gpus is None and fit.gpus is None:
            continue
        both = sorted({*trains}.intersection(engine.gpus or range(engine.takes)))
        share = engine.gpu_memory_utilization
        if both and share >= engine.usual("gpu_memory_utilization"):
            wrong = f"the training takes GPU {both[0]} too, of which this server keeps {share:g}"
            instead = "lower gpu_memory_utilization, or let `gpus` of both name others"
            yield ("engines", name), f"{wrong}: set `sleep: true`, {instead}"
