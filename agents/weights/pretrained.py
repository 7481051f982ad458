"""A pretrained model in memory, from a folder of safetensors: the one way to load any."""

import json
from contextlib import suppress
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GenerationConfig
from transformers.utils import logging
from transformers.utils.quantization_config import Mxfp4Config

from ..errors import EngineError, in_one_line
from ..types import Device, Dtype

MXFP4 = "mxfp4"
"""What gpt-oss is filed in; it is unpacked, for nothing could learn on it."""


def load(
    model: Path,
    dtype: Dtype,
    device: Device,
    attention: str | None = None,
    *,
    quantized: bool = False,
) -> Any:
    """Return the causal language model in the folder `model`; code and pickles there are not run.

    Args:
        model: a folder of safetensors.
        dtype: what it computes in.
        device: where it is to be.
        attention: transformers' name of one; `None`: as transformers chooses.
        quantized: whether its linear layers are held in 4 bits: NF4 with quantised scales, as QLoRA
            has them (Dettmers et al., 2023, arXiv:2305.14314).

    Raises:
        EngineError: it can't be loaded, or there is no such device.
    """
    gpu = torch.cuda.is_available()
    if device == "cuda" and not gpu:
        raise EngineError("device: cuda, but torch finds no GPU here; auto takes the CPU")
    place = "cuda" if device == "cuda" or (device == "auto" and gpu) else "cpu"
    resolved = {"auto": "bfloat16" if place == "cuda" else "float32"}.get(dtype, dtype)
    if quantized:
        quantizes()
    packed = _packed(model)
    if quantized and packed:
        raise EngineError(f"{model}: it is filed in few bits ({packed}) already; not `quantized`")
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
            **(_in_4_bits(getattr(torch, resolved), place) if quantized else {}),
            **({"quantization_config": Mxfp4Config(dequantize=True)} if packed == MXFP4 else {}),
        )
    except Exception as error:  # safetensors, torch and transformers raise a dozen kinds
        raise EngineError(f"{model}: can't load this model: {in_one_line(error)}") from error
    loaded, found = both
    # What a checkpoint lacks, transformers draws at random and only mentions.
    if lacking := sorted(found["missing_keys"]):
        raise EngineError(f"{model}: {len(lacking)} tensors are missing, such as {lacking[0]}")
    loaded.generation_config = _mended(loaded.generation_config)
    if packed == MXFP4:
        loaded._weight_conversions = None  # back to that, it would file nothing that can be read
    if not quantized:
        return loaded.to(place)
    for module in loaded.modules():
        if mamba(module):
            raise EngineError(f"{model}: 4 bits can't hold it: Mamba's kernels read its weights")
        if hasattr(module, "support_avx512bf16_for_cpu"):  # nothing learns on what they pack then
            module.support_avx512bf16_for_cpu = False
    return loaded


def mamba(module: Any) -> bool:
    """Return whether it is a mixer of Mamba's, whose kernels read the weights of layers in it."""
    return hasattr(module, "A_log") and hasattr(module, "D")


def quantizes() -> None:
    """Raise where nothing here holds numbers in 4 bits.

    Raises:
        EngineError: there is no bitsandbytes.
    """
    if find_spec("bitsandbytes") is None:
        raise EngineError("`quantized: true` needs bitsandbytes: pip install 'moot[quantized]'")


def _in_4_bits(dtype: torch.dtype, place: str) -> dict[str, Any]:
    """Return how transformers is told so; it takes such a model to its place itself."""
    how = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    own = torch.cuda.current_device() if place == "cuda" else place
    return {"quantization_config": how, "device_map": {"": own}}


def _packed(model: Path) -> str | None:
    """Return the kind of few bits that a model is filed in; `None`: its numbers are whole."""
    with suppress(OSError, ValueError, AttributeError):  # whoever loads it says what is wrong
        filed = json.loads((model / "config.json").read_bytes())
        return (filed.get("quantization_config") or {}).get("quant_method")
    return None


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
