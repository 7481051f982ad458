"""The experiment file: what a researcher means by it, how it is set, and what ships."""

from pathlib import Path
from typing import Any

import pytest
from wrong import GOOD

from moot.agents.embedded.local import Local
from moot.agents.errors import InputError
from moot.experiments.experiment import Experiment
from moot.experiments.plan import plan
from moot.experiments.yaml.loading import load
from moot.experiments.yaml.source import parse

CONFIGS = Path(__file__).parents[1] / "experiments" / "configs"

SHORT = """\
name: short
engines:
  main: {kind: local, model: smollm2-135m-instruct}
population:
  - {name: solver, count: 8, learns: true}
tasks:
  kind: reasoning_gym
  dataset: chain_sum
protocol: {kind: synthesis}
method: {kind: cat}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "x.yaml"
    path.write_text(text)
    return path


def test_ten_lines_are_an_experiment(tmp_path: Path) -> None:
    experiment, split = load(written(tmp_path, SHORT))

    assert len(experiment.people().agents) == 8
    assert set(experiment.people().learners()) == {"solver"}
    assert (experiment.cycles, experiment.evaluation.samples) == (2, 4)
    assert len(split.train) >= experiment.tasks.per_cycle
    assert len(split.held_out) == experiment.tasks.held_out


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("1e-5", 1e-5),
        ("-.5", -0.5),
        ("012", 12),
        ("0x10", 16),
        ("0o10", 8),
        ("1:30", "1:30"),
        ("2026-11-24", "2026-11-24"),
        ("'7'", "7"),
        ("~", None),
        ("True", True),
        ("=", "="),
        ("[1, {a: b}]", (1, {"a": "b"})),
        ("&x 1", 1),
        ("|\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_a_value_means_what_a_researcher_means(text: str, value: Any) -> None:
    found = parse(f"key: {text}", "x.yaml").data["key"]

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "protocol",
    [
        "{kind: consensus, weigh: self_reward}",
        "{kind: rubric, talk: {kind: selection, by: self_reward}}",
        "{kind: judged, judging: {kind: self_reward}}",
    ],
)
def test_verdicts_are_read_of_those_who_learn_them(protocol: str, tmp_path: Path) -> None:
    text = SHORT.replace("learns: true", "learns: true, role: [policy, judge]")
    text = text.replace("{kind: synthesis}", protocol).replace("kind: cat", "kind: laser")

    load(written(tmp_path, text))


def test_an_alias_is_what_it_stands_for(tmp_path: Path) -> None:
    text = SHORT.replace(
        "count: 8, learns: true}",
        "count: 8, learns: true, sampling: &s {top_p: .9}}\n  - {name: other, sampling: *s}",
    )

    agents = load(written(tmp_path, text))[0].people().agents

    assert {agent.sampling.top_p for agent in agents} == {0.9}


def test_settings_reach_any_key_and_are_yaml(tmp_path: Path) -> None:
    sets = ["seed=7", "fit.lr=1e-5", "population.0.count=3", "fit.lora.targets=[q_proj, v_proj]"]

    experiment, _ = load(written(tmp_path, SHORT), [*sets, "population.0.persona=no"])

    assert (experiment.seed, experiment.fit.lr, experiment.population[0].count) == (7, 1e-5, 3)
    assert experiment.fit.lora is not None
    assert experiment.fit.lora.targets == ("q_proj", "v_proj")
    assert experiment.population[0].persona == "no"


def test_files_and_folders_lie_where_the_experiment_does(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "model").symlink_to(tiny)
    rows = "\n".join(f'{{"prompt": "{i}?", "answer": "{i}"}}' for i in range(9))
    (tmp_path / "t.jsonl").write_text(rows)
    text = SHORT.replace("kind: reasoning_gym", "kind: file").replace(
        "dataset: chain_sum", "path: t.jsonl\n  verifier: number\n  held_out: 3\n  per_cycle: 2"
    )
    text = text.replace("smollm2-135m-instruct", "model")

    experiment, split = load(written(tmp_path, text))

    engine = experiment.engines["main"]
    assert isinstance(engine, Local)
    assert engine.model == str(tmp_path / "model")
    assert len(split.train) == 6


def test_all_of_two_contradictions_are_told(tmp_path: Path) -> None:
    text = SHORT.replace("method: {kind: cat}\n", "").replace("135m", "136m")

    with pytest.raises(InputError) as caught:
        load(written(tmp_path, text))

    assert [line.split(" ")[1] for line in str(caught.value).splitlines()] == [
        "engines.main.model:",
        "population.0.learns:",
    ]


def test_whose_turn_to_speak_comes_in_some_casts_alone_may_be_there(tmp_path: Path) -> None:
    judges = "  - {name: judge, role: judge}\n  - {name: other, role: judge}\n"
    text = GOOD.replace("tasks:", f"{judges}tasks:").replace("consensus", "moderated")

    with pytest.raises(InputError, match=r"population\.2: 'other' never speaks in .* moderated"):
        load(written(tmp_path, text))
    load(written(tmp_path, f"{text}casting: {{kind: round_robin, judges: 1}}\n"))


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_what_ships_can_be_planned(path: Path) -> None:
    experiment, split = load(path)

    assert list(plan(experiment, split))
    assert experiment.name == path.stem


def test_the_schema_says_what_every_key_is_for() -> None:
    schema = Experiment.model_json_schema()
    obvious = {"kind", "name", "role", "persona", "tasks", "evaluation", "stage", "engines"}

    silent = [
        f"{model}.{key}"
        for model, found in schema["$defs"].items()
        for key, about in found.get("properties", {}).items()
        if "description" not in about and key not in obvious and "$ref" not in about
    ]

    assert silent == []
