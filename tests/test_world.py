"""Several processes do what one does: two and three real ones, on the CPU, beside one."""

import json
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, cast

import pytest
import several_processes as jobs
import torch
from workers import run

from moot.agents.errors import MootError
from moot.training import world
from moot.training.checkpoint import read
from moot.training.data.examples import Rollout
from moot.training.data.filed import Filed
from moot.training.model.stored import tensors


@pytest.fixture(scope="module")
def one(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    jobs.done(tiny, folder, several=False)
    return folder


@pytest.fixture(scope="module", params=[2, 3])
def several(
    request: pytest.FixtureRequest, tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What so many processes left; three divide no tensor of the model evenly."""
    folder = tmp_path_factory.mktemp("several")
    run(request.param, jobs.__file__, tiny, folder)
    return folder


@pytest.mark.parametrize(("name", "lora", "shard"), jobs.CASES)
def test_several_processes_end_where_one_does(
    name: str, lora: bool, shard: bool, one: Path, several: Path
) -> None:
    alone = jobs.place(one, name, lora, shard=False)
    shared = jobs.place(several, name, lora, shard)

    wanted, found = (json.loads((f / "steps.json").read_text()) for f in (alone, shared))
    assert found[1] is wanted[1] is True  # the weights moved
    assert len(found[0]) == 3
    for (number, metrics), (other, same) in zip(found[0], wanted[0], strict=True):
        assert number == other
        assert metrics == pytest.approx(same, rel=1e-5, abs=1e-5)
    [before], [after] = (list(f.glob("step-*")) for f in (alone, shared))
    close(files(after), files(before))
    assert (read(after).step, read(after).taken) == (3, 3)


def test_a_divided_model_goes_on_where_it_was_cut_off(one: Path, several: Path) -> None:
    alone, cut = jobs.place(one, "cat", lora=False, shard=False), several / "cut"

    wanted, _ = json.loads((alone / "steps.json").read_text())
    found = json.loads((cut / "steps.json").read_text())
    assert [number for number, _ in found] == [1, 2]
    for (_, metrics), (_, same) in zip(found, wanted[1:], strict=True):
        assert metrics == pytest.approx(same, rel=1e-5, abs=1e-5)
    [before], [after] = (list(f.glob("step-*")) for f in (alone, cut))
    close(files(after), files(before))


def test_a_gradient_that_not_every_process_has_is_summed_in_all(several: Path) -> None:
    found = [json.loads(file.read_text()) for file in several.glob("summed-*.json")]

    n = len(found)
    assert n > 1
    everyones = [float(n), n * (n - 1) / 2]
    assert found == [[everyones, [1.0, 0.0], [1.0, n - 1.0], None]] * n


def test_several_processes_refuse_what_one_refuses(one: Path, several: Path) -> None:
    for folder in (one, several):
        there = jobs.place(folder, *jobs.GUARDED)
        assert json.loads((there / "steps.json").read_text()) == [[], False]
        assert not list(there.glob("step-*"))


def test_no_process_fails_before_what_was_learnt_is_kept(one: Path, several: Path) -> None:
    [alone], kept = ([*jobs.place(f, *jobs.FAILING).glob("kept-*")] for f in (one, several))

    [found] = json.loads(alone.read_text())
    assert len(kept) > 1
    assert [json.loads(file.read_text()) for file in kept] == [[found]] * len(kept)


def test_what_the_process_that_leads_checks_the_others_do_not_check_again(
    one: Path, several: Path
) -> None:
    [[alone, *same]], found = (
        [json.loads(file.read_text()) for file in sorted(f.glob("led-*"))] for f in (one, several)
    )

    assert same == ["refused by 0", 0]
    assert found == [[alone if rank == 0 else 0, *same] for rank in range(len(found))]
    assert alone > 0
    assert len(found) > 1


def test_several_processes_give_the_rewards_that_one_gives(one: Path, several: Path) -> None:
    wanted, found = ([*Filed(f / "reward/rewarded.parquet")] for f in (one, several))

    assert [replace(cast(Rollout, e), reward=0.0) for e in found] == [
        replace(e, reward=0.0) for e in jobs.ROLLOUTS
    ]
    rewards = [[cast(Rollout, e).reward for e in some] for some in (found, wanted)]
    assert rewards[0] == pytest.approx(rewards[1], abs=1e-5)
    assert None not in rewards[0]


def test_several_processes_share_what_is_to_be_rewarded(one: Path, several: Path) -> None:
    def passes(folder: Path) -> list[int]:
        counted = (folder / "reward").glob("passes-*.json")
        return [json.loads(file.read_text()) for file in counted]

    [alone], shared = passes(one), passes(several)

    assert alone > len(shared)
    assert shared == [ceil(alone / len(shared))] * len(shared)


def close(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-5)


def files(checkpoint: Path) -> dict[str, Any]:
    """The tensors of a checkpoint, weights and moments."""
    return {**tensors(checkpoint), **dict(read(checkpoint).moments())}


def test_a_sharded_model_is_filed_as_the_model_it_is(several: Path) -> None:
    [checkpoint] = jobs.place(several, "cat", lora=False, shard=True).glob("step-*")

    config = json.loads((checkpoint / "config.json").read_text())

    assert config["architectures"] == ["LlamaForCausalLM"]


def test_steps_had_an_uneven_number_of_parts(tiny: Path) -> None:
    from moot.agents.embedded.tokens import Tokens
    from moot.training.model.rows import microbatches
    from moot.training.schedule import schedule

    def numbers(name: str) -> list[int]:
        fit = jobs.METHODS[name][1]
        steps = schedule(jobs.examples(name), fit, seed=2)
        most, encode = fit.batch_tokens, Tokens(tiny)
        return [len(list(microbatches(cast(Any, step), encode, most))) for step in steps]

    assert any(n > 2 and n % 2 for n in numbers("cat"))
    assert set(numbers("alone")) == {1}


def test_alone_all_of_it_is_the_identity() -> None:
    assert (world.size(), world.rank(), world.leads()) == (1, 0, True)
    assert list(world.dealt("abc")) == [(0, "a", True), (1, "b", True), (2, "c", True)]
    assert world.gathered({2: "c", 0: "a"}) == ["a", "c"]
    parameter = torch.nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    world.add([parameter])
    assert world.clip([parameter], 1.0) == 5.0
    torch.testing.assert_close(parameter.grad, torch.tensor([0.6, 0.8]))


def test_a_process_takes_a_gpu() -> None:
    world.enough(3, gpus=0)
    world.enough(2, gpus=2)
    with pytest.raises(MootError, match=r"fit\.processes: .* at most 2, got 3"):
        world.enough(3, gpus=2)


def test_a_gpu_that_isnt_there_is_missed_before_anything_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)

    assert (world.gpus("auto"), world.gpus("cpu")) == (0, 0)
    with pytest.raises(MootError, match=r"fit\.device: cuda, but torch finds no GPU here"):
        world.gpus("cuda")
