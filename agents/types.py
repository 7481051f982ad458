"""What an agent is given and what it gives back.  Nothing here knows of protocols or training."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
"""What the user calls an engine, an agent or weights; it becomes part of file names."""


Device = Literal["auto", "cpu", "cuda"]
"""Where a model is; `auto` is the GPU where there is one."""
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
"""What a model's numbers are; `auto` is float32 on the CPU and bfloat16 on a GPU."""
Precision = Dtype | Literal["nf4"]
"""The same, or the linear layers' in 4 bits."""
WIDTH = {"float32": 4, "bfloat16": 2, "float16": 2}
"""The bytes of a number."""


def on_this_machine(dtype: Dtype, device: Device = "auto") -> Dtype:
    """Return what `auto` comes to here, as far as that can be told without loading anything."""
    if dtype != "auto":
        return dtype
    gpu = device == "cuda" or (device == "auto" and shutil.which("nvidia-smi") is not None)
    return "bfloat16" if gpu else "float32"


HALF = re.compile("[\ud800-\udfff]")
"""Half a surrogate pair, which JSON and YAML may hold: it is no character, and no tokenizer, no
file in UTF-8 and no table takes a text with one."""


UNUSED = "unused_option"
"""The type of pydantic's error of an option that changes nothing where it is."""


class Settings(BaseModel):
    """What a user writes in YAML: frozen, strict, and nothing it doesn't know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def usual(self, name: str) -> Any:
        """Return what the option `name` is where nobody sets it."""
        return type(self).model_fields[name].default

    def refuse(self, *names: str, where: str) -> None:
        """Raise where one of the options `names` isn't what it is by default.

        Raises:
            PydanticCustomError: names it, and says in which setting it means nothing; its type is
                `UNUSED`, and its context has the `option`.
        """
        for name in names:
            if getattr(self, name) != self.usual(name):
                said = {"option": name, "where": where}
                raise PydanticCustomError(UNUSED, "`{option}` means nothing {where}", said)


T = TypeVar("T")


def _count(value: Any) -> str:
    return "several" if isinstance(value, list | tuple) else "one"


OneOrMore = Annotated[
    Annotated[T, Tag("one")] | Annotated[tuple[T, ...], Field(min_length=1), Tag("several")],
    Discriminator(_count),
]
"""In YAML a single one, or a list of them."""


def in_turn(values: T | tuple[T, ...], i: int) -> T:
    """Return what the `i`-th of several gets: the single one, or those of a list in turn."""
    some = cast(tuple[T, ...], values if isinstance(values, tuple) else (values,))
    return some[i % len(some)]


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of a chat prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


Prompt = tuple[Message, ...]
PROBE: Prompt = (Message("user", "question"), Message("assistant", "xyzzy"))
"""A chat that shows how a template puts a reply."""


class Sampling(Settings):
    """How a model is sampled."""

    temperature: float = Field(default=1.0, ge=0, le=2)
    """Up to 2, as servers take it; 0 takes the likeliest token each time."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling: the likeliest tokens are kept until their probability reaches it; 1 keeps
    all."""
    top_k: int = Field(default=0, ge=0)
    """So many of the likeliest tokens are kept; 0 keeps all."""
    max_tokens: int = Field(default=512, ge=1)
    """The most tokens of a completion."""
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Texts that end a completion; they are not part of it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One thing asked of an engine."""

    prompt: Prompt
    sampling: Sampling
    seed: int
    """In [0, 2**63); equal requests with equal seeds get equal completions where the engine can."""
    weights: str | None = None
    """The name of the learned weights that are to speak; `None` is the engine's base model."""
    version: int = 0
    """The version of `weights` that is to speak; version 0 *is* the base model."""
    choices: tuple[str, ...] = ()
    """The reply is one of these, whatever `max_tokens` and `stop` are, and the engine weighs them
    all if it can; a single one is put in its mouth, to be told how likely it was.  Empty: free."""
    shape: str = ""
    """A JSON Schema for the reply; an engine that can, holds it to that.  Empty: free."""
    verdict: bool = False
    """Whether the verdict on its only choice is wanted (see `self_reward`)."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model said.

    `logprobs[i]` is the natural-log probability of `tokens[i]` under the model itself, before
    temperature and truncation (what vLLM calls raw log-probs).  Both are empty where the engine
    gives none.  The end-of-turn token is part of `tokens` when it was sampled.
    """

    text: str
    finish: Literal["stop", "length", "declined"]
    """How it ended: as the speaker meant it, at `max_tokens`, or before it began, for a person who
    was asked won't say; the text is empty then."""
    version: int
    """The version of the weights that spoke, as the engine reports it."""
    tokens_in: int
    """Prompt tokens."""
    tokens_out: int
    """Completion tokens."""
    latency_s: float
    """How long the answer took, queues at our end and earlier tries apart."""
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    prompt_tokens: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()
    """How likely each of the request's choices was beside the others, adding up to 1; empty where
    there was no choice, or the engine can't tell."""
    verdict: float | None = None
    """How right the speaker holds it: 1 is right and 0 wrong, more or less; `None`: it wasn't
    asked, or never learnt to tell."""
    tokens_cached: int = 0
    """Prompt tokens that the engine had read before, as far as it tells."""
    tries: int = 1
    """How often it was asked before it was answered, this time among them."""
    ended_s: float = 0.0
    """When the answer was there, in seconds since 1970; 0: nobody looked."""


@dataclass(frozen=True, slots=True)
class Weights:
    """One version of what a learning agent, or a group of them, speaks with."""

    name: str
    version: int
    path: Path
    """A LoRA adapter in PEFT's layout (adapter_config.json, adapter_model.safetensors), or a whole
    model in transformers' (config.json, model.safetensors)."""

    @property
    def whole(self) -> bool:
        """Whether these are all weights of a model, not an adapter to some."""
        return (self.path / "model.safetensors").is_file()
