"""Courses: what several weights learn in one cycle, and what is left of each."""

import shutil
import sys
from collections import Counter
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from command import rows
from conftest import BuildTiny
from told import filed, pair, rollout, words

from moot.agents.errors import MootError
from moot.experiments.cycle.course import JUDGE, Lessons
from moot.experiments.cycle.learn import check, current, learn
from moot.experiments.experiment import Experiment
from moot.training.checkpoint import read

FIT = {"device": "cpu", "groups": 1, "lora": {"rank": 4}}
ITEMS = [{"prompt": f"{i}?", "answer": "4"} for i in range(2)]


def experiment(models: dict[str, Path], method: Any, *population: Any, **fit: Any) -> Experiment:
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
            "fit": FIT | fit,
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
        (None, None): 1,
    }
    elders = [(row["reward"], row["advantage"]) for row in taught if not row["teaches"]]
    assert elders == [(0.0, None)]


def test_the_reward_model_of_the_second_model_goes_on_where_it_was_killed(
    tiny: Path, build_tiny: BuildTiny, tmp_path: Path
) -> None:
    out = tmp_path / "cycle-000"
    models = {"a": tiny, "b": build_tiny(tmp_path / "other", seed=1)}
    people = ({"name": name, "engine": name, "learns": True} for name in models)
    found = experiment(models, {"kind": "rlhf", "file": "likes.jsonl"}, *people)
    told = [rollout(i, None, (), weights=name) for name in models for i in range(2)]
    lessons = Lessons(told, [pair(f"e{i}", words("yes"), words("no")) for i in range(3)])

    def judged() -> Generator[int]:
        steps = learn(found, lessons, {}, cycle=0, folder=out)
        return (step for name, step, _ in steps if name == JUDGE)

    first = judged()
    seen = [next(first) for _ in range(5)]
    first.close()  # killed
    (out / f"fit-{JUDGE}" / "step-000001").mkdir()  # where an earlier moot had its progress
    rest = list(judged())

    assert seen == [0, 1, 2, 0, 1]  # of the last no checkpoint was written yet
    assert rest == [1, 2]
    assert {path.name for path in out.iterdir()} == {"examples.parquet", JUDGE, "weights"}
    assert {row["learner"] for row in rows(out / "examples.parquet")} == {"a", "b"}


def test_a_kill_while_what_did_not_move_is_removed_leaves_no_half_of_it(
    tiny: Path, tmp_path: Path
) -> None:
    policy = {"name": "p", "engine": "main", "learns": True}
    stopped = {"length": 0.5}  # before the first step
    found = experiment({"main": tiny}, {"kind": "ttrl"}, policy, guards=stopped)
    told = [rollout(i, float(i == 0), (20 + i,), weights="p") for i in range(2)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            list(learn(found, Lessons(told), {}, cycle=0, folder=tmp_path))
    steps = list(learn(found, Lessons(told), {}, cycle=0, folder=tmp_path))

    assert [seen["guarded"] for _, _, seen in steps if "loss" in seen] == [1]
    assert {path.name for path in tmp_path.iterdir()} == {"examples.parquet", "weights"}
    assert not list((tmp_path / "weights").iterdir())


def test_without_preferences_the_newest_reward_model_gives_the_rewards(
    tiny: Path, tmp_path: Path
) -> None:
    policy = {"name": "p", "engine": "main", "learns": True}
    method = {"kind": "rlhf", "file": "likes.jsonl"}
    found = experiment({"main": tiny}, method, policy, guards={"length": 0.5})
    told = [rollout(i, None, (), weights="p") for i in range(2)]
    likes = [pair("e", words("yes"), words("no"))]
    given: list[list[float]] = []

    for cycle, pairs in enumerate(([], likes, likes, [])):
        folder = tmp_path / f"cycle-00{cycle}"
        steps = learn(found, Lessons(told, pairs), {}, cycle=cycle, folder=folder)
        #  What guards the policy stops no reward model.
        assert not any("guarded" in seen for name, _, seen in steps if name == JUDGE)
        file = folder / "examples.parquet"
        given.append([row["reward"] for row in rows(file)] if file.is_file() else [])

    none, first, second, last = given
    assert none == []  # there is no reward model yet
    assert len(first) == len(second) == 2
    assert first != second == last


def test_each_begins_with_an_adapter_of_its_own_and_goes_on_with_it(
    tiny: Path, tmp_path: Path
) -> None:
    group = {"count": 2, "adapters": "each", "learns": True, "learns_from": "group"}
    found = experiment({"main": tiny}, {"kind": "ttrl"}, {"name": "p", "engine": "main", **group})
    told = [rollout(i, float(i == 0), (20 + i,), weights=f"p-{i}") for i in range(2)]

    for cycle in (0, 1):
        before, folder = current(tmp_path, cycle), tmp_path / f"cycle-00{cycle}"
        list(learn(found, Lessons(told), before, cycle=cycle, folder=folder))

    #  Both learn the same, in a single step a cycle.
    one, other = (read(weights.path) for weights in current(tmp_path, 2).values())
    assert (one.taken, other.taken) == (2, 2)
    assert all(not torch.equal(tensor, filed(other)[name]) for name, tensor in filed(one).items())


def test_others_words_are_learnt_as_ones_own_tokenizer_reads_them(
    tiny: Path, build_tiny: BuildTiny, tmp_path: Path
) -> None:
    models = {"a": tiny, "b": build_tiny(tmp_path / "other", seed=1)}
    people = (
        {"name": name, "engine": name, "learns": True, "learns_from": "all"} for name in models
    )
    found = experiment(models, {"kind": "ttrl"}, *people)
    told = [
        replace(one, said=replace(one.said, engine=name))
        for name in models
        for one in (rollout(i, float(i == 0), (20 + i,), weights=name) for i in range(2))
    ]

    list(learn(found, Lessons(told), {}, cycle=0, folder=tmp_path))

    taught = {(row["learner"], row["weights"]): row for row in rows(tmp_path / "examples.parquet")}
    assert {who: bool(row["completion_ids"]) for who, row in taught.items()} == {
        ("a", "a"): True,
        ("a", "b"): False,
        ("b", "a"): False,
        ("b", "b"): True,
    }


def test_all_is_learnt_in_an_order_of_its_own_by_each_and_in_each_cycle(
    tiny: Path, tmp_path: Path
) -> None:
    group = {"count": 2, "adapters": "each", "learns": True, "learns_from": "group"}
    found = experiment({"main": tiny}, {"kind": "ttrl"}, {"name": "p", "engine": "main", **group})
    told = [
        replace(rollout(i, float(i == 0), (), episode=text, weights=f"p-{i}"), said=words(text))
        for text in ("x" * n for n in range(1, 6))
        for i in range(2)
    ]
    orders: list[list[float]] = []

    for cycle in (0, 1):
        folder = tmp_path / f"cycle-00{cycle}"
        steps = [*learn(found, Lessons(told), {}, cycle=cycle, folder=folder)]
        for name in ("p-0", "p-1"):
            orders.append([m["length"] for who, step, m in steps if who == name and step >= 0])

    assert [len({*order}) for order in orders] == [5] * 4  # as long as their texts
    assert len({*map(tuple, orders)}) == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_missed_before_anything_is_said(tiny: Path) -> None:
    policy = {"name": "p", "engine": "main", "learns": True}
    found = experiment({"main": tiny}, {"kind": "ttrl"}, policy, device="cuda")

    with pytest.raises(MootError, match=r"fit\.device: cuda, but torch finds no GPU here"):
        check(found)


def test_4_bits_without_their_package_are_refused_before_anything_is_said(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = {"name": "p", "engine": "main", "learns": True}
    found = experiment({"main": tiny}, {"kind": "ttrl"}, policy, quantized=True)
    check(found)

    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MootError, match=r"`quantized: true` needs bitsandbytes: pip install"):
        check(found)


def killed(folder: Path, **_: Any) -> None:
    """Remove a part of a checkpoint, and no more."""
    for file in folder.rglob("optimizer.safetensors"):
        file.unlink()
        raise KeyboardInterrupt
