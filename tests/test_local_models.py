"""Models that the local engine can't speak with, and where an odd one's replies end."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from local_engine import answers, request, with_engine
from safetensors.torch import load_file, save_file
from wrong import ENGINE, GOOD

from moot.agents.embedded.local import Local
from moot.agents.embedded.tokens import Tokens
from moot.agents.embedded.voice import Voice
from moot.agents.engine import Engine
from moot.agents.errors import EngineError, MootError
from moot.agents.types import Message
from moot.experiments.run import run
from moot.experiments.yaml.loading import load


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
