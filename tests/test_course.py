"""Courses: what several weights learn in one cycle, and what is left of each."""

from collections import Counter
from pathlib import Path
from typing import Any

from command import rows
from told import rollout

from moot.experiments.course import Lessons
from moot.experiments.experiment import Experiment
from moot.experiments.learn import learn

FIT = {"device": "cpu", "lora": {"rank": 4}}
ITEMS = [{"prompt": f"{i}?", "answer": "4"} for i in range(2)]


def experiment(models: dict[str, Path], method: Any, *population: Any) -> Experiment:
    """One whose agents speak with these models, by engine, and learn by the method."""
    engines = {name: {"kind": "local", "model": str(model)} for name, model in models.items()}
    return Experiment.model_validate(
        {
            "name": "course",
            "engines": engines,
            "population": [*population],
            "tasks": {"kind": "inline", "verifier": "exact", "items": ITEMS},
            "protocol": {"kind": "sample"},
            "method": method,
            "fit": FIT,
        },
        strict=False,
    )


def test_what_several_learn_from_is_told_for_each_by_its_name(tiny: Path, tmp_path: Path) -> None:
    group = {"count": 2, "adapters": "each", "learns": True, "learns_from": "group"}
    people = {"name": "p", "engine": "main", **group}, {"name": "elder", "engine": "main"}
    found = experiment({"main": tiny}, {"kind": "ttrl"}, *people)
    speakers = ("p-0", "p-1", None)  # the elder's words count in the group, and teach nobody
    told = [rollout(i, float(i == 0), (20 + i,), weights=w) for i, w in enumerate(speakers)]

    list(learn(found, Lessons(told), {}, cycle=0, folder=tmp_path))

    taught = rows(tmp_path / "examples.parquet")
    assert Counter((row["learner"], row["weights"]) for row in taught) == {
        ("p-0", "p-0"): 1,
        ("p-0", "p-1"): 1,
        ("p-1", "p-0"): 1,
        ("p-1", "p-1"): 1,
    }
