"""The local engine on a tiny model, asked from a test that isn't async itself."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from moot.agents.embedded.local import Local
from moot.agents.engine import Engine
from moot.agents.types import Completion, Message, Request, Sampling

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
