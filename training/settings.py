"""How long and how fast to learn, as YAML says it."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from moot.agents.types import Device, Settings

ALTERING = ("final_logit_softcapping", "logits_scaling", "logit_scale")
"""Config entries by which some architectures alter the logits that `forward.score` takes."""


def unsupported(config: Mapping[str, object]) -> str:
    """Return what keeps a model with this config from being trained, if anything does."""
    return ", ".join(name for name in ALTERING if config.get(name) not in (None, 1))


class Lora(Settings):
    """The shape of the adapters that learn (Hu et al., arXiv:2106.09685)."""

    rank: int = Field(default=16, ge=1, le=1024)
    """The width of the bottleneck."""
    alpha: float = Field(default=32.0, gt=0)
    """The adapter's output is scaled by alpha / rank."""
    targets: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = "all-linear"
    """Which linear layers get an adapter, by name."""


class Fit(Settings):
    """One cycle's training."""

    lr: float = Field(default=1e-4, gt=0, lt=1)
    """AdamW's learning rate."""
    epochs: int = Field(default=1, ge=1, le=1000)
    """How often a cycle's examples are gone through."""
    groups: int = Field(default=8, ge=1)
    """Episodes in one optimiser step; all that one episode taught stays together."""
    batch_tokens: int = Field(default=1024, ge=1)
    """The most tokens in one forward pass, padding included and shared prompts counted once; more
    are accumulated, with the same gradient.  Memory grows with it."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps of the whole run over which the learning rate rises from 0."""
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    """AdamW's decoupled weight decay, of the adapter."""
    clip_norm: float = Field(default=1.0, gt=0)
    """The gradient's greatest norm."""
    checkpoint_every: int = Field(default=1, ge=1)
    """Steps between checkpoints inside a cycle; resuming loses at most this many."""
    device: Device = "auto"
    """`auto` is the GPU where there is one."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the base model: float32 on the CPU and bfloat16 on a GPU.  Adapters are float32."""
    lora: Lora = Lora()
