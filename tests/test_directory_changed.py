"""What may change of an experiment while its run goes on, and what may not."""

import re
from pathlib import Path

import pytest
from claimed import EXPERIMENT, SPLIT

from moot.agents.embedded.local import Local
from moot.agents.endpoint import Endpoint
from moot.agents.engine import Limits
from moot.agents.errors import InputError
from moot.agents.price import Price
from moot.agents.scripted import Scripted
from moot.agents.serving.vllm import VLLM
from moot.experiments.experiment import Experiment
from moot.experiments.files.directory import claim
from moot.experiments.files.made import fingerprints
from moot.experiments.tasks.table import File
from moot.protocols.stage import StageSettings
from moot.training.methods.sft import SFT
from moot.training.settings import Fit


def test_a_run_may_go_on_with_other_servers(tmp_path: Path) -> None:
    def at(*urls: str) -> Experiment:
        return EXPERIMENT.model_copy(update={"engines": {"main": VLLM(url=urls)}})

    with claim(at("http://one:8000", "http://two:8000"), SPLIT, tmp_path):
        pass
    with claim(at("http://two:8000"), SPLIT, tmp_path):
        pass


def test_a_run_may_be_moved_with_its_tasks_and_go_on(tmp_path: Path) -> None:
    for folder in ("before", "after"):
        if folder == "after":
            (tmp_path / "before").rename(tmp_path / "after")
        here = tmp_path / folder
        here.mkdir(exist_ok=True)
        (here / "x.jsonl").write_text(
            "".join(f'{{"prompt": "{i}?", "answer": {i}}}\n' for i in "1234")
        )
        tasks = File(path=str(here / "x.jsonl"), verifier="number", held_out=1, per_cycle=1)
        moved = EXPERIMENT.model_copy(update={"tasks": tasks})
        with claim(moved, tasks.load(0), here / "out"):
            pass

    assert str(tmp_path / "after" / "x.jsonl") in (here / "out" / "experiment.yaml").read_text()

    (here / "x.jsonl").write_text('{"prompt": "5?", "answer": 5}\n{"prompt": "6?", "answer": 6}\n')
    with (
        pytest.raises(InputError, match="the task file changed"),
        claim(moved, tasks.load(0), here / "out"),
    ):
        raise AssertionError


def test_a_run_may_be_moved_with_its_methods_file_and_goes_on_with_no_other(tmp_path: Path) -> None:
    def learning(file: Path | None) -> Experiment:
        method = SFT(file=None if file is None else str(file))
        return EXPERIMENT.model_copy(update={"method": method})

    first, second, out = tmp_path / "a.jsonl", tmp_path / "b.jsonl", tmp_path / "out"
    first.write_text('{"prompt": "1?", "completion": "1"}\n')
    second.write_text(first.read_text())
    for file in (first, second):
        with claim(learning(file), SPLIT, out):
            pass

    second.write_text('{"prompt": "1?", "completion": "2"}\n')
    for other in (learning(second), learning(None)):
        with pytest.raises(InputError, match="the method's file changed"), claim(other, SPLIT, out):
            raise AssertionError


def test_every_file_of_a_methods_parts_is_known_by_what_it_holds(tmp_path: Path) -> None:
    def known(*texts: str) -> str:
        leaves = {f"method.of.{i}.method.file": str(tmp_path / f"{i}") for i in range(len(texts))}
        for text, path in zip(texts, leaves.values(), strict=True):
            Path(path).write_text(text)
        return fingerprints(SPLIT, leaves)["file"]

    assert len({known("a", "b"), known("a", "c"), known("c", "b"), known("a")}) == 4


def test_of_a_run_that_knows_nothing_of_its_methods_file_the_name_must_be_the_same(
    tmp_path: Path,
) -> None:
    for name in "ab":
        (tmp_path / name).write_text('{"prompt": "1?", "completion": "1"}\n')
    mine, other = (
        EXPERIMENT.model_copy(update={"method": SFT(file=str(tmp_path / name))}) for name in "ab"
    )
    with claim(mine, SPLIT, tmp_path / "out"):
        pass
    resolved = tmp_path / "out" / "experiment.yaml"
    known = re.compile(r"^  file: [0-9a-f]{16}\n", re.MULTILINE)
    resolved.write_text(known.sub("", resolved.read_text()))

    again = claim(other, SPLIT, tmp_path / "out")
    with pytest.raises(InputError, match=r"Differing: method\.file"), again:
        raise AssertionError
    with claim(mine, SPLIT, tmp_path / "out"):
        pass


def test_failures_borne_engines_driven_tokens_paid_and_work_divided_may_change(
    tmp_path: Path,
) -> None:
    with claim(EXPERIMENT, SPLIT, tmp_path):
        pass
    price = Price(tokens_in=1, tokens_out=2)
    patient = {"main": Scripted(lines=("1",), limits=Limits(concurrency=2), price=price)}
    other = EXPERIMENT.model_copy(
        update={
            "stage": StageSettings(max_failed_episodes=3),
            "engines": patient,
            "fit": Fit(
                tolerance=0.5,
                processes=2,
                shard=True,
                recompute=True,
                batch_tokens=64,
                checkpoint_every=5,
                gpus=(0, 1),
            ),
        }
    )

    for again in (other, EXPERIMENT, other):
        with claim(again, SPLIT, tmp_path):
            pass

    text = (tmp_path / "experiment.yaml").read_text()
    assert "max_failed_episodes: 3" in text
    assert "concurrency: 2" in text


def test_what_memory_an_engine_takes_may_change(tmp_path: Path) -> None:
    roomy = {"gpu_memory_utilization": 0.5, "kv_cache_gib": 4, "sleep": True, "max_loras": 2}
    elsewhere = {"gpus": (3,)}
    keyed = Endpoint(url="http://far", model="m", key_env="KEY")
    for more in ({}, roomy, elsewhere, {}):
        engines = {"main": VLLM.model_validate({"model": "m", **more})}
        far = keyed.model_copy(update={} if more else {"key_env": None})
        mine = EXPERIMENT.model_copy(update={"engines": {**engines, "far": far}})
        with claim(mine, SPLIT, tmp_path):
            pass


def test_a_run_that_goes_on_in_batches_may_not_be_the_same_again(tmp_path: Path) -> None:
    reruns: list[str] = []
    for batch in (1, 8, 1):
        engines = {"main": Local(model="m", batch=batch)}
        with claim(EXPERIMENT.model_copy(update={"engines": engines}), SPLIT, tmp_path):
            pass
        reruns += re.findall("rerun: (.*)", (tmp_path / "experiment.yaml").read_text())

    assert reruns[0].startswith("gives the same bytes")
    assert [one.startswith("'may differ: main") for one in reruns[1:]] == [True, True]


def test_an_engine_that_is_called_as_what_may_change_may_not(tmp_path: Path) -> None:
    mine, other = (
        EXPERIMENT.model_copy(
            update={"engines": {name: Scripted(lines=(said,)) for name in ("a.price", "b.limits")}}
        )
        for said in "12"
    )
    other.engines["b.limits"] = Scripted(lines=("1",), model="m")
    with claim(mine, SPLIT, tmp_path):
        pass

    differing = r"engines\.a\.price\.lines\.0 .*, engines\.b\.limits\.model "
    with pytest.raises(InputError, match=differing), claim(other, SPLIT, tmp_path):
        raise AssertionError
