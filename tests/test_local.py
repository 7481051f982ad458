"""The local engine, on a tiny model: it says what transformers says, and knows who speaks."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from wrong import ENGINE, GOOD

from moot.agents.embedded.context import shared
from moot.agents.embedded.local import Local
from moot.agents.embedded.tokens import Tokens
from moot.agents.embedded.voice import Voice
from moot.agents.engine import Engine
from moot.agents.errors import EngineError, MootError
from moot.agents.types import Completion, Message, Request, Sampling, Weights
from moot.experiments.run import run
from moot.experiments.yaml.loading import load

T = TypeVar("T")
TEXTS = ["What is 3 + 4?", "Hi", "What is 12 + 30? Reply with the number alone.", "What is 9?"]


def request(text: str, seed: int = 0, speaks: tuple[str, int] | None = None, **how: Any) -> Request:
    weights, version = speaks or (None, 0)
    return Request((Message("user", text),), Sampling(**how), seed, weights, version)


def with_engine(settings: Local, use: Callable[[Engine], Awaitable[T]]) -> T:
    async def play() -> T:
        async with settings.open(Path()) as engine:
            return await use(engine)

    return asyncio.run(play())


def answers(model: Path, *requests: Request, batch: int = 64) -> list[Completion]:
    async def ask(engine: Engine) -> list[Completion]:
        said = await asyncio.gather(*map(engine.generate, requests))
        return [replace(one, latency_s=0.0) for one in said]

    return with_engine(Local(model=str(model), batch=batch), ask)


def adapter(model: Path, folder: Path, seed: int) -> Path:
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    lora = LoraConfig(
        task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        get_peft_model(base, lora).save_pretrained(str(folder))
    return folder


def forced(model: Any, said: Completion) -> torch.Tensor:
    """The log-probabilities of what was said, by one plain forward pass."""
    ids = torch.tensor([said.prompt_tokens + said.tokens])
    with torch.no_grad():
        logp = model(ids).logits[0].log_softmax(-1)
    start = len(said.prompt_tokens)
    return logp[torch.arange(start - 1, ids.shape[1] - 1), ids[0, start:]]


def plain(model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_greedy_says_what_transformers_says(
    build_tiny: Callable[..., Path], tmp_path: Path, architecture: str
) -> None:
    folder = build_tiny(tmp_path / "model", seed=1, architecture=architecture)
    said = answers(folder, *(request(t, temperature=0, max_tokens=24) for t in TEXTS))

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
    chats = [[{"role": "user", "content": text}] for text in TEXTS]
    inputs = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    expected = plain(folder).generate(**inputs, max_new_tokens=24, do_sample=False)
    for one, ids in zip(said, expected[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
        assert list(one.tokens) == ids[: len(one.tokens)]


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.5])
def test_log_probs_are_those_of_the_model_itself(tiny: Path, temperature: float) -> None:
    how: dict[str, Any] = {"temperature": temperature, "top_k": 20, "top_p": 0.9, "max_tokens": 12}
    asked = [request(text, seed, **how) for text in TEXTS for seed in range(3)]
    said = answers(tiny, *asked)

    model = plain(tiny)
    for one in said:
        assert (one.tokens_in, one.tokens_out) == (len(one.prompt_tokens), len(one.tokens))
        torch.testing.assert_close(
            torch.tensor(one.logprobs), forced(model, one), atol=1e-4, rtol=1e-4
        )


def test_the_seed_decides_what_is_said(tiny: Path) -> None:
    same, again, other = answers(tiny, *(request("Hi", s, max_tokens=16) for s in (1, 1, 2)))

    assert same.text == again.text
    assert same.tokens == again.tokens
    assert same.tokens != other.tokens


def test_a_batch_of_one_gives_the_same_bytes_whatever_else_is_asked(tiny: Path) -> None:
    asked = [request(text, seed, max_tokens=8) for text in TEXTS for seed in range(2)]
    among = answers(tiny, *asked, batch=1)
    alone = answers(tiny, asked[3], batch=1)

    assert among[3] == alone[0]


def test_the_end_token_is_among_the_tokens_and_not_in_the_text(tiny: Path) -> None:
    # So hot that any token may come: some row ends before its bound.
    said = answers(tiny, *(request("Hi", s, temperature=2, max_tokens=200) for s in range(24)))
    ended = [one for one in said if one.finish == "stop"]
    end = 2  # <|end|>

    assert 0 < len(ended) < len(said)
    for one in said:
        assert (one.tokens[-1] == end) == (one.finish == "stop")
        assert end not in one.tokens[:-1]
        assert "<|" not in one.text
    assert all(one.tokens_out == 200 for one in said if one.finish == "length")
    torch.testing.assert_close(  # rows that ended left the batch, and the others went on rightly
        torch.tensor(said[-1].logprobs), forced(plain(tiny), said[-1]), atol=1e-4, rtol=1e-4
    )


def test_a_stop_text_ends_the_completion_and_is_not_part_of_it(tiny: Path) -> None:
    how: dict[str, Any] = {"temperature": 0.0, "max_tokens": 60}
    (whole,) = answers(tiny, request("Hi", **how))
    stop = whole.text[10:12]
    (cut,) = answers(tiny, request("Hi", stop=(stop, "never said"), **how))

    assert cut.text == whole.text[: whole.text.find(stop)]
    assert (cut.finish, whole.finish) == ("stop", "length")
    assert cut.tokens == whole.tokens[: cut.tokens_out]
    assert cut.tokens_out < whole.tokens_out


def test_a_reply_ends_where_the_models_context_does(tiny: Path) -> None:
    (said,) = answers(tiny, request("x" * 200, max_tokens=500))

    assert said.tokens_in + said.tokens_out == 256
    assert said.finish == "length"


def test_a_prompt_without_room_for_a_reply_is_refused_alone(tiny: Path) -> None:
    async def ask(engine: Engine) -> list[Any]:
        asked = [request("x" * 300, max_tokens=4), request("Hi", max_tokens=4)]
        return await asyncio.gather(*map(engine.generate, asked), return_exceptions=True)

    refused, said = with_engine(Local(model=str(tiny)), ask)

    assert str(refused) == (
        "a prompt of 319 tokens leaves no room for a reply in the model's context of 256"
    )
    assert said.tokens_out == 4


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


def test_the_templates_end_of_turn_is_an_end_though_no_file_says_so(
    build_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    folder = build_tiny(tmp_path / "model")
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|end|>", "<|start|>"))

    assert Tokens(folder).ends == {1, 2}


def test_a_model_without_a_chat_template_is_refused(
    build_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    folder = build_tiny(tmp_path / "model")
    (folder / "chat_template.jinja").unlink()

    with pytest.raises(EngineError, match=r"no chat template, .* take its instruct version"):
        answers(folder, request("Hi"))


def test_a_prompt_that_the_template_refuses_is_an_error(
    build_tiny: Callable[..., Path], tmp_path: Path
) -> None:
    folder = build_tiny(tmp_path / "model")
    template = folder / "chat_template.jinja"
    refusal = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    )
    template.write_text(refusal + template.read_text())
    asked = request("Hi")
    asked = replace(asked, prompt=(Message("system", "You are Bo."), *asked.prompt))

    with pytest.raises(EngineError, match=r"chat template refuses the prompt: no system"):
        answers(folder, asked)


def spoilt(model: Path, folder: Path, how: str) -> Path:
    """Return a copy of the model with something wrong in it."""
    place = folder / how.replace(" ", "-")
    shutil.copytree(model, place)
    file, config = place / "model.safetensors", place / "config.json"
    if how == "cut off":
        file.write_bytes(file.read_bytes()[:-100])
    elif how == "a tensor missing":
        tensors = load_file(file)
        del tensors["model.layers.1.mlp.up_proj.weight"]
        save_file(tensors, file, metadata={"format": "pt"})
    elif how == "of another size":
        config.write_text(config.read_text().replace('"hidden_size": 32', '"hidden_size": 48'))
    elif how == "a template that refuses":
        (place / "chat_template.jinja").write_text("{{ raise_exception('never') }}")
    return place


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("cut off", "can't load this model"),
        ("a tensor missing", "1 tensors are missing, such as model.layers.1.mlp.up_proj.weight"),
        ("of another size", "can't load this model"),
        ("a template that refuses", "its chat template refuses a plain chat: never"),
    ],
)
def test_a_broken_model_is_told_in_a_line(how: str, error: str, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=error) as caught:
        Voice(spoilt(tiny, tmp_path, how), "auto", "cpu")
    assert "\n" not in str(caught.value)


def test_pickled_weights_are_not_loaded(build_tiny: Callable[..., Path], tmp_path: Path) -> None:
    folder = build_tiny(tmp_path / "model")
    file = folder / "model.safetensors"
    torch.save(load_file(file), folder / "pytorch_model.bin")
    file.unlink()

    with pytest.raises(MootError, match="safetensors"):
        answers(folder, request("Hi"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_an_error(tiny: Path) -> None:
    async def use(engine: Engine) -> None: ...

    with pytest.raises(EngineError, match="device: cuda, but torch finds no GPU"):
        with_engine(Local(model=str(tiny), device="cuda"), use)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_engine_whose_gpu_is_not_there_is_named(tiny: Path, tmp_path: Path) -> None:
    engine = f"{{kind: local, model: {tiny}, device: cuda}}"
    (tmp_path / "x.yaml").write_text(GOOD.replace(ENGINE, engine))

    with pytest.raises(MootError, match=r"^engines\.main: device: cuda, but torch finds no GPU"):
        run(*load(tmp_path / "x.yaml"), tmp_path / "out")


def test_what_prompts_share_leaves_each_a_token_of_its_own() -> None:
    assert shared([[1, 2, 3], [1, 2, 4]]) == 2
    assert shared([[1, 2], [1, 2, 3]]) == 1
    assert shared([[1], [1, 2]]) == 0
    assert shared([[5, 2], [6, 2]]) == 0
