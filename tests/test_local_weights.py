"""The local engine's adapters: it knows who speaks at which version, and refuses a bad one."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from local_engine import adapter, forced, plain, request, with_engine
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from moot.agents.embedded.local import Local
from moot.agents.engine import Engine
from moot.agents.errors import EngineError
from moot.agents.types import Completion, Weights


def test_weights_speak_at_the_version_that_was_loaded(tiny: Path, tmp_path: Path) -> None:
    first, second = (adapter(tiny, tmp_path / f"v{n}", seed=n) for n in (1, 2))
    name = "pupil.one"  # PEFT itself takes no dots

    async def use(engine: Engine) -> list[Completion]:
        async def ask(version: int) -> Completion:
            return await engine.generate(request("Hi", 3, (name, version), max_tokens=8))

        said = [await ask(0)]
        await engine.load(Weights(name, 1, first))
        said += await asyncio.gather(ask(0), ask(1))
        await engine.load(Weights("pupil.two", 1, second))
        said += [await ask(1)]
        await engine.load(Weights(name, 2, second))
        said += await asyncio.gather(ask(2), ask(0))
        assert await engine.held() == {name: 2, "pupil.two": 1}
        with pytest.raises(EngineError, match=r"^asked for version 1 of pupil.one, holding vers"):
            await ask(1)
        with pytest.raises(EngineError, match=r"asked for version 1 of nobody, holding only"):
            await engine.generate(request("Hi", 3, ("nobody", 1)))
        return [replace(one, latency_s=0.0) for one in said]

    base, base_beside, one, one_beside, two, base_after = with_engine(Local(model=str(tiny)), use)

    assert base == base_beside == base_after
    assert one == one_beside
    assert [said.version for said in (base, one, two)] == [0, 1, 2]
    for said, path in ((one, first), (two, second)):
        trained = PeftModel.from_pretrained(plain(tiny), str(path))
        torch.testing.assert_close(
            torch.tensor(said.logprobs), forced(trained, said), atol=1e-4, rtol=1e-4
        )


def test_in_sixteen_bits_an_adapter_is_computed_beside_the_base(tiny: Path, tmp_path: Path) -> None:
    path = adapter(tiny, tmp_path / "v1", seed=1)

    async def use(engine: Engine) -> list[Completion]:
        asked = [request("Hi", 3, ("p", version), max_tokens=8) for version in (0, 1, 0)]
        said = [await engine.generate(asked[0])]
        await engine.load(Weights("p", 1, path))
        said += [await engine.generate(one) for one in asked[1:]]
        return [replace(one, latency_s=0.0) for one in said]

    before, trained, after = with_engine(Local(model=str(tiny), dtype="bfloat16"), use)

    assert before == after
    base = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.bfloat16)
    beside = PeftModel.from_pretrained(base, str(path))
    torch.testing.assert_close(
        torch.tensor(trained.logprobs), forced(beside, trained).float(), atol=0.1, rtol=0.1
    )


def without_file(good: Path, bad: Path) -> None:
    (bad / "adapter_model.safetensors").unlink()


def without_tensor(good: Path, bad: Path) -> None:
    tensors = load_file(bad / "adapter_model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, bad / "adapter_model.safetensors")


def of_other_shape(good: Path, bad: Path) -> None:
    tensors = load_file(bad / "adapter_model.safetensors")
    wide = {name: torch.cat([tensor, tensor], -1) for name, tensor in tensors.items()}
    save_file(wide, bad / "adapter_model.safetensors")


def of_other_names(good: Path, bad: Path) -> None:
    tensors = load_file(bad / "adapter_model.safetensors")
    renamed = {name.replace("layers.1", "layers.7"): tensor for name, tensor in tensors.items()}
    save_file(renamed, bad / "adapter_model.safetensors")


def cut_short(good: Path, bad: Path) -> None:
    file = bad / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def of_other_modules(good: Path, bad: Path) -> None:
    config = json.loads((bad / "adapter_config.json").read_text())
    (bad / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["nothing"]}))


def without_config(good: Path, bad: Path) -> None:
    (bad / "adapter_config.json").unlink()


def away(good: Path, bad: Path) -> None:
    shutil.rmtree(bad)


BREAK = [
    without_file,
    without_tensor,
    of_other_shape,
    of_other_names,
    cut_short,
    of_other_modules,
    without_config,
    away,
]


def test_a_bad_adapter_is_refused_and_the_earlier_version_stays(tiny: Path, tmp_path: Path) -> None:
    good = adapter(tiny, tmp_path / "good", seed=1)

    async def use(engine: Engine) -> None:
        async def ask(version: int) -> tuple[float, ...]:
            return (await engine.generate(request("Hi", 3, ("p", version), max_tokens=3))).logprobs

        base = await ask(0)
        for held in (0, 1):
            before = await ask(held)
            for damage in BREAK:
                bad = tmp_path / f"{damage.__name__}-{held}"
                shutil.copytree(good, bad)
                damage(good, bad)
                with pytest.raises(EngineError, match=r"can't take up version 2 of 'p': \S") as e:
                    await engine.load(Weights("p", 2, bad))
                assert "\n" not in str(e.value)
                assert await ask(held) == before, damage.__name__
                assert await ask(0) == base
            assert await engine.held() == ({"p": 1} if held else {})
            await engine.load(Weights("p", 1, good))

    with_engine(Local(model=str(tiny)), use)


def test_numbers_that_are_not_finite_are_an_error_and_no_words(tiny: Path, tmp_path: Path) -> None:
    broken = adapter(tiny, tmp_path / "nan", seed=1)
    tensors = load_file(broken / "adapter_model.safetensors")
    save_file({n: t * torch.inf for n, t in tensors.items()}, broken / "adapter_model.safetensors")

    async def use(engine: Engine) -> None:
        await engine.load(Weights("p", 1, broken))
        asked = request("Hi", 0, ("p", 1))
        for one in (asked, replace(asked, choices=("1", "2"))):
            with pytest.raises(EngineError, match="a number that isn't finite"):
                await engine.generate(one)
        assert (await engine.generate(request("Hi", max_tokens=2))).tokens_out == 2

    with_engine(Local(model=str(tiny)), use)


def test_nothing_is_drawn_from_the_global_generator(tiny: Path, tmp_path: Path) -> None:
    path = adapter(tiny, tmp_path / "a", seed=1)
    before = torch.get_rng_state()

    async def use(engine: Engine) -> None:
        await engine.load(Weights("p", 1, path))
        await engine.generate(request("Hi", 0, ("p", 1), max_tokens=2))

    with_engine(Local(model=str(tiny)), use)

    assert torch.equal(before, torch.get_rng_state())
