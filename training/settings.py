"""How long and how fast to learn, as YAML says it."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from moot.agents.types import Device, Settings, on_this_machine


class Lora(Settings):
    """The shape of the adapters that learn (Hu et al., arXiv:2106.09685)."""

    rank: int = Field(default=16, ge=1, le=1024)
    """The width of the bottleneck."""
    alpha: float = Field(default=32.0, gt=0)
    """The adapter's output is scaled by alpha / rank."""
    targets: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = "all-linear"
    """Which linear layers get an adapter, by name."""


class Guards(Settings):
    """What a policy that collapses shows, and what is done when it does.

    Each is compared with a step's mean before the step is taken; what is not set is not guarded.
    """

    entropy: float | None = Field(default=None, gt=0)
    """The least entropy of the next token, in nats."""
    kl: float | None = Field(default=None, gt=0)
    """The greatest KL to the anchor, in nats a token; costs the anchor's forward pass.  Of `dpo`,
    `kto` and `sft`, which learn from what the policy hasn't just said, what it at least is."""
    length: float | None = Field(default=None, gt=0)
    """The greatest length of a completion, in tokens."""
    loss: float | None = None
    """The greatest loss."""
    grad_norm: float | None = Field(default=None, gt=0)
    """The greatest norm of the gradient, before it is clipped."""
    distinct: float | None = Field(default=None, gt=0, le=1)
    """The least share of an episode's texts that differ; in the mean over the cycle's episodes too,
    those without contrast among them."""
    commonest: float | None = Field(default=None, gt=0, lt=1)
    """The greatest share that one answer may have of all that are learnt from, whatever was asked;
    of the cycle's answers too, those without contrast among them.  Rewards without labels can be
    earned so."""
    then: Literal["stop", "rollback", "fail"] = "stop"
    """End the cycle's training before this step; go back to the weights that the cycle began with;
    or end the run."""

    @model_validator(mode="after")
    def _all_is_used(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields if name != "then"):
            self.refuse("then", where="without a guard: set one of those beside it")
        return self

    def broken(self, metrics: Mapping[str, float]) -> str | None:
        """Return which guard a step's metrics break, in words; `None`: none."""
        for name, least in (("entropy", self.entropy), ("distinct", self.distinct)):
            if least is not None and metrics.get(name, least) < least:
                return f"{name} {metrics[name]:.3g} is below fit.guards.{name}, {least:g}"
        for name in ("kl", "length", "loss", "grad_norm", "commonest", "kl_least"):
            guard = name.removesuffix("_least")
            most = getattr(self, guard)
            if most is not None and metrics.get(name, most) > most:
                return f"{name} {metrics[name]:.3g} is above fit.guards.{guard}, {most:g}"
        return None


class Fit(Settings):
    """One cycle's training."""

    lr: float = Field(default=1e-4, gt=0, lt=1)
    """AdamW's learning rate."""
    epochs: int = Field(default=1, ge=1, le=1000)
    """How often a cycle's examples are gone through."""
    groups: int = Field(default=8, ge=1)
    """Episodes in one optimiser step; all that one episode taught stays together."""
    batch_tokens: int = Field(default=1024, ge=1)
    """The most tokens in one forward pass, what several rows begin with counted once; more are
    accumulated, with the same gradient.  Memory grows with it."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps of the whole run over which the learning rate rises from 0."""
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    """AdamW's decoupled weight decay, of what learns."""
    clip_norm: float = Field(default=1.0, gt=0)
    """The gradient's greatest norm."""
    checkpoint_every: int = Field(default=1, ge=1)
    """Steps between checkpoints inside a cycle; resuming loses at most this many."""
    device: Device = "auto"
    """`auto` is the GPU where there is one."""
    graphs: bool = False
    """On a GPU, where an adapter learns, without `recompute` and `shard`: whether passes over trees
    of a size that comes often are recorded as CUDA graphs.  Off, for it has only run with a
    stand-in for a GPU so far."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the base model: bfloat16 on a GPU where adapters learn, which are float32; else float32,
    for small steps are lost on 16 bits."""
    recompute: bool = False
    """Hold one layer's activations at a time and compute them again backward: a third more work,
    and far less memory (gradient checkpointing)."""
    processes: int = Field(default=1, ge=1, le=64)
    """Processes on this machine that share the work of a step, one a GPU where there are GPUs.  The
    result is that of one, up to float rounding; a step that is one part (`batch_tokens`) is one
    process's work."""
    shard: bool = False
    """Divide the model, what is learnt of it and the optimiser's state over the processes (FSDP2),
    for models that no device holds; else each process holds all of it."""
    lora: Lora | None = Lora()
    """The adapter that learns; `null`: all of the model's weights do."""
    tolerance: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """How far an engine that takes up what was learnt may be from what the trainer makes of a
    reply: nats a token, in the mean.  `auto` is 0.01 where both compute in float32, which comes to
    under 0.001; and else, for 16 bits are coarser, 0.1."""
    guards: Guards = Guards()
    """What must not happen to the policy."""

    @model_validator(mode="after")
    def _all_is_used(self) -> Self:
        if self.processes == 1:
            self.refuse("shard", where="with `processes: 1`: it holds all of the model")
        unrecorded = {
            "device: cpu": self.device == "cpu",
            "lora: null": self.lora is None,
            "recompute: true": self.recompute,
            "shard: true": self.shard,
        }
        for setting, there in unrecorded.items():
            if there:
                self.refuse("graphs", where=f"with `{setting}`: no pass is recorded then")
        return self

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """What the base model's numbers are, as far as that can be told without loading it."""
        return self.precision_on(gpu=on_this_machine("auto", self.device) == "bfloat16")

    def precision_on(self, *, gpu: bool) -> Literal["float32", "bfloat16"]:
        """Return what the base model's numbers are on a GPU, or where there is none."""
        if self.dtype != "auto":
            return self.dtype
        return "bfloat16" if gpu and self.lora is not None else "float32"
