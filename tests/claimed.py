"""An experiment whose directory tests claim."""

from moot.agents.scripted import Scripted
from moot.experiments.experiment import Experiment
from moot.experiments.tasks.table import Inline, Item
from moot.protocols.consensus import Consensus

ITEMS = tuple(Item(prompt=f"{i}?", answer=i) for i in range(4))
EXPERIMENT = Experiment.model_validate(
    {
        "name": "mine",
        "engines": {"main": Scripted(lines=("1",))},
        "population": ({"name": "solver"},),
        "tasks": Inline(items=ITEMS, verifier="number", held_out=1, per_cycle=1),
        "protocol": Consensus(),
    }
)
SPLIT = EXPERIMENT.tasks.load(0)
