"""A pretrained model in memory, from a folder of safetensors: the one way to load any."""

from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.utils import logging

from ..errors import EngineError, in_one_line
from ..types import Device, Dtype


def load(model: Path, dtype: Dtype, device: Device, attention: str | None = None) -> Any:
    """Return the causal language model in the folder `model`; code and pickles there are not run.

    Raises:
        EngineError: it can't be loaded, or there is no such device.
    """
    gpu = torch.cuda.is_available()
    if device == "cuda" and not gpu:
        raise EngineError("device: cuda, but torch finds no GPU here; auto takes the CPU")
    place = "cuda" if device == "cuda" or (device == "auto" and gpu) else "cpu"
    resolved = {"auto": "bfloat16" if place == "cuda" else "float32"}.get(dtype, dtype)
    logging.disable_progress_bar()
    try:
        both: Any = AutoModelForCausalLM.from_pretrained(
            model,
            dtype=getattr(torch, resolved),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            attn_implementation=attention,
        )
    except Exception as error:  # safetensors, torch and transformers raise a dozen kinds
        raise EngineError(f"{model}: can't load this model: {in_one_line(error)}") from error
    loaded, found = both
    # What a checkpoint lacks, transformers draws at random and only mentions.
    if lacking := sorted(found["missing_keys"]):
        raise EngineError(f"{model}: {len(lacking)} tensors are missing, such as {lacking[0]}")
    loaded.generation_config = _mended(loaded.generation_config)
    return loaded.to(place)


def context(model: Any) -> int | None:
    """Return the most tokens that `model` reads; `None`: it has no bound.

    With some kinds of RoPE it reads all of a text otherwise as soon as that is longer than its
    original context, and so a row otherwise beside a longer one: the original is the bound then.
    """
    config = model.config.get_text_config()
    rope: dict[str, Any] = getattr(config, "rope_parameters", None) or {}
    original = rope.get("original_max_position_embeddings")
    if rope.get("rope_type") in ("longrope", "dynamic") and original:
        return int(original)
    return getattr(config, "max_position_embeddings", None)


def _mended(generation: Any) -> Any:
    """Return settings that transformers saves: it loads what it then refuses to write.

    Sampling is said where a temperature is; of others than that, what ends a text is kept.
    """
    sampled = copy(generation)
    sampled.do_sample = True
    ends = {f"{part}_token_id": getattr(generation, f"{part}_token_id") for part in ("bos", "eos")}
    pad = generation.pad_token_id
    ends["pad_token_id"] = pad if isinstance(pad, int) and pad >= 0 else None
    for settings in (generation, sampled):
        with suppress(ValueError):
            settings.validate(strict=True)
            return settings
    return GenerationConfig(**ends)
