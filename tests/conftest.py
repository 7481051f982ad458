"""A real model, small enough that every test may have it."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)

BuildTiny = Callable[..., Path]

with suppress(ImportError):  # the peers' environment, for `make parity`, has none
    from hypothesis import settings

    settings.register_profile("moot", deadline=None)  # how long a test takes tells nothing here
    settings.load_profile("moot")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first: two processes that share the files then end together."""
    items.sort(key=lambda item: item.get_closest_marker("vllm") is None)


EYES = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 28,
}
"""What a tiny model that sees too sees with: its `vision_config`."""


def tiny_model(
    folder: Path,
    seed: int = 0,
    architecture: str = "llama",
    spare: Sequence[str] = (),
    **overrides: Any,
) -> Path:
    """Make a checkpoint in `folder`: 2 layers, hidden 32, a byte a token, random weights.

    `spare` are special tokens more, that no chat uses; `overrides` are what is to be otherwise in
    its configuration, `...` what isn't to be there.  One that sees too, with a `vision_config`, has
    all else under `text_config`.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    specials = ["<|pad|>", "<|start|>", "<|end|>"]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*specials, *letters, *spare])}
    bytewise = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    bytewise.add_special_tokens([*specials, *spare])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytewise, eos_token="<|end|>", pad_token="<|pad|>"
    )
    tokenizer.chat_template = TEMPLATE
    shape: dict[str, Any] = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 256,
        "initializer_range": 0.2,  # wide, so that no two tokens are nearly alike
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": vocabulary["<|end|>"],
        "pad_token_id": vocabulary["<|pad|>"],
    }
    sight = overrides.pop("vision_config", None)
    text = {name: value for name, value in (shape | overrides).items() if value is not ...}
    both = {"text_config": text, "vision_config": sight}
    config = AutoConfig.for_model(architecture, **(both if sight else text))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def build_tiny() -> BuildTiny:
    """The function `tiny_model`, for tests that need another one."""
    return tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model; not to be written to."""
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def roomy(build_tiny: BuildTiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with room for a judge's prompt."""
    folder = tmp_path_factory.mktemp("roomy")
    return build_tiny(folder, spare=["<|reserved_0|>"], max_position_embeddings=1024)
