"""GPUs by number: who gets which, what is no choice, and who would be in whose way."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from standing_in import descendants, found, heard, install, request
from told import rollout
from wrong import GOOD

from moot.agents.engine import Engine, everywhere
from moot.agents.errors import EngineError, InputError, MootError
from moot.agents.gpus import VISIBLE, visible
from moot.agents.serving.vllm import VLLM
from moot.experiments.cycle.course import Lessons
from moot.experiments.cycle.learn import current, learn
from moot.experiments.experiment import Experiment
from moot.experiments.yaml.loading import load
from moot.training.settings import Fit
from moot.training.world import there

TWO = ("--tensor-parallel-size", "2")
MODEL = "smollm2-135m-instruct"
ITEMS = [{"prompt": f"{i}?", "answer": "4"} for i in range(2)]


def test_gpus_are_counted_among_those_that_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    assert visible((6, 4)) == {VISIBLE: "6,4"}
    monkeypatch.setenv(VISIBLE, "GPU-a,GPU-b,7")
    assert visible((2, 0)) == {VISIBLE: "7,GPU-a"}
    with pytest.raises(EngineError, match=r"GPUs 0, 3 \(from 0\) are wanted, and .* 3: 'GPU-a,"):
        visible((0, 3))
    monkeypatch.setenv(VISIBLE, "")  # all are hidden
    with pytest.raises(EngineError, match=r"GPUs 0 \(from 0\) are wanted, and .* has 0: ''"):
        visible((0,))


@pytest.mark.parametrize(
    ("settings", "seen"),
    [
        ({"gpus": (5,)}, ["5"]),
        ({"gpus": (5, 4), "arguments": ("--tensor_parallel_size=2",)}, ["5,4"]),
        ({"gpus": (7, 6, 1, 0), "replicas": 2, "arguments": TWO}, ["7,6", "1,0"]),
        ({"replicas": 2, "arguments": TWO}, ["0,1", "2,3"]),
        ({}, [None]),
    ],
)
def test_each_server_sees_its_own_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], seen: list[str]
) -> None:
    site = found(tmp_path, monkeypatch)
    monkeypatch.delenv(VISIBLE, raising=False)
    install(site.folder, "0.32.0")

    async def part(engine: Engine) -> list[Any]:
        every = await everywhere(engine, request("hello"))
        return [heard(said)["environment"].get(VISIBLE) for said in every]

    assert site.play(part, **settings) == seen


def test_a_vllm_for_cpus_has_no_gpus_to_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError, match=r"gpus: the vLLM .* is the one for CPUs"):
        found(tmp_path, monkeypatch).hears(gpus=(0,))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gpus": (0, 0)}, "expected each GPU once"),
        ({"gpus": ()}, "at least 1 item"),
        ({"gpus": (-1,)}, "greater than or equal to 0"),
        ({"gpus": (0, 1)}, "expected 1 GPUs in `gpus`, for 1 servers of 1 each, got 2"),
        ({"gpus": (0,), "replicas": 2}, "expected 2 GPUs"),
        ({"gpus": (0, 1), "arguments": ("-pp=2", *TWO)}, "expected 4 GPUs in .* 1 servers of 4"),
        ({"gpus": (0,), "url": "http://far"}, "`gpus` means nothing with `url`"),
    ],
)
def test_a_server_gets_as_many_gpus_as_it_takes(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        VLLM(model="m", **settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gpus": (4, 5)}, r"for each of the processes \(1\), got 2"),
        ({"gpus": (4,), "processes": 2}, r"for each of the processes \(2\), got 1"),
        ({"gpus": (4, 4), "processes": 2}, "expected each GPU once"),
        ({"gpus": (4,), "device": "cpu"}, "`gpus` means nothing with `device: cpu`"),
    ],
)
def test_each_process_that_trains_gets_a_gpu(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Fit(**settings)


def test_gpus_to_train_on_are_there() -> None:
    there(None, gpus=0)
    there((7, 4), gpus=8)
    with pytest.raises(MootError, match=r"fit\.gpus: 7 \(from 0\) isn't here: torch finds 4 GPUs"):
        there((4, 7), gpus=4)


def test_what_trains_sees_the_gpus_that_it_is_given(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    experiment = Experiment.model_validate(
        {
            "name": "apart",
            "engines": {"main": {"kind": "local", "model": str(tiny)}},
            "population": [{"name": "w", "learns": True}],
            "tasks": {"kind": "inline", "verifier": "exact", "items": ITEMS},
            "protocol": {"kind": "sample"},
            "method": {"kind": "ttrl"},
            "fit": {"gpus": [3], "lora": {"rank": 4}},
        },
        strict=False,
    )
    told = [rollout(i, float(i == 0), (20 + i,), weights="w") for i in range(2)]
    out = tmp_path / "cycle-000"

    steps = learn(experiment, Lessons(told), {}, cycle=0, folder=out)
    next(steps)
    assert workers_see() == ["3"]
    list(steps)
    assert current(tmp_path, 1)["w"].version == 1


def workers_see() -> list[str]:
    """Return which GPUs each process sees that trains for this one."""
    seen: list[str] = []
    for pid in descendants(os.getpid()):
        place = Path(f"/proc/{pid}")
        called = (place / "cmdline").read_bytes()
        if b"moot.training.worker" in called and b"torch.distributed.run" not in called:
            about = dict(
                word.split("=", 1)
                for word in (place / "environ").read_text().split("\0")
                if "=" in word
            )
            seen.append(about[VISIBLE])
    return seen


def written(folder: Path, engine: str, fit: str) -> Path:
    group = "{name: solver, count: 3"
    text = GOOD.replace('{kind: scripted, lines: ["1", "2"]}', f"{{kind: vllm, {engine}}}")
    text = text.replace(group, f"{group}, learns: true") + f"method: {{kind: ttrl}}\nfit: {fit}\n"
    path = folder / "x.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("engine", "fit", "gpu"),
    [
        ("gpus: [0]", "{gpus: [0]}", 0),
        ("gpus: [0, 3], replicas: 2", "{processes: 4}", 0),
        ('arguments: ["-tp", "4"]', "{gpus: [3, 4], processes: 2}", 3),
        ("gpus: [0], gpu_memory_utilization: 0.95", "{gpus: [0]}", 0),
    ],
)
def test_a_server_that_leaves_training_no_room_is_refused(
    tmp_path: Path, engine: str, fit: str, gpu: int
) -> None:
    words = rf"x\.yaml:4:\d+ engines\.main: the training takes GPU {gpu} too, .*`sleep: true`"
    with pytest.raises(InputError, match=words):
        load(written(tmp_path, f"model: {MODEL}, {engine}", fit))


ROOMY: Sequence[tuple[str, str]] = (
    ("dtype: auto", "{}"),  # as on the one GPU that there is, perhaps: nobody says which
    ("gpu_memory_utilization: 0.5", "{gpus: [0]}"),
    ("gpus: [0], sleep: true", "{gpus: [0]}"),
    ("gpus: [0]", "{device: cpu}"),
    ("gpus: [0, 1], replicas: 2", "{gpus: [2, 3], processes: 2}"),
    ("url: 'http://far'", "{gpus: [0]}"),
)


@pytest.mark.parametrize(("engine", "fit"), ROOMY)
def test_a_server_that_leaves_training_room_is_not(tmp_path: Path, engine: str, fit: str) -> None:
    load(written(tmp_path, f"model: {MODEL}, {engine}", fit))
