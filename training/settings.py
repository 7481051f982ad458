"""How long and how fast to learn, as YAML says it."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from moot.agents.gpus import Gpus
from moot.agents.types import Device, Settings, on_this_machine

WHOLE_LR = 1e-6
"""The learning rate where all weights learn and nothing is said; of an adapter it is `Fit.lr`'s."""


class Lora(Settings):
    """The shape of the adapters that learn (Hu et al., arXiv:2106.09685)."""

    rank: int = Field(default=16, ge=1, le=1024)
    """The adapter's rank."""
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
    """The greatest KL to the anchor, in nats a token; costs the anchor's forward pass. With `dpo`,
    `kto` and `sft`, whose words the policy hasn't just sampled, a lower bound of the KL is
    compared."""
    length: float | None = Field(default=None, gt=0)
    """The greatest length of a completion, in tokens."""
    loss: float | None = None
    """The greatest loss."""
    grad_norm: float | None = Field(default=None, gt=0)
    """The greatest norm of the gradient, before it is clipped."""
    distinct: float | None = Field(default=None, gt=0, le=1)
    """The least share of an episode's texts that differ. Also checked on the mean over all of the
    cycle's episodes, including those without contrast."""
    commonest: float | None = Field(default=None, gt=0, lt=1)
    """The greatest share that one answer may have among all that are learnt from, whatever was
    asked: always giving the same answer can earn rewards without labels. Also checked on all of the
    cycle's answers, including those without contrast."""
    then: Literal["stop", "rollback", "fail"] = "stop"
    """What a broken guard does: end the cycle's training before this step, go back to the weights
    that the cycle began with, or end the run."""

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
    """AdamW's learning rate. Where all weights learn (`lora: null`) the default is 1e-6."""
    epochs: int = Field(default=1, ge=1, le=1000)
    """Passes over a cycle's examples."""
    groups: int = Field(default=8, ge=1)
    """Episodes in one optimiser step; all examples of one episode stay together."""
    batch_tokens: int = Field(default=1024, ge=1)
    """The most tokens in one forward pass, with a prefix that several rows share counted once (of a
    model whose layers keep states: each end of a row as 64 tokens at least; of one whose rows go
    through it side by side: all, and their padding). A step with more
    accumulates gradients, with the same result. Memory grows with it."""
    warmup_steps: int = Field(default=0, ge=0)
    """Steps, over the whole run, in which the learning rate rises from 0."""
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    """AdamW's decoupled weight decay of the weights that learn."""
    clip_norm: float = Field(default=1.0, gt=0)
    """The gradient is clipped to this norm."""
    checkpoint_every: int = Field(default=1, ge=1)
    """Steps between checkpoints within a cycle; a resumed run loses at most this many."""
    device: Device = "auto"
    """`auto` is the GPU if there is one."""
    graphs: bool = False
    """On a GPU, with an adapter and without `recompute` and `shard`: whether forward and backward
    passes over trees of a common size are recorded as CUDA graphs. Off by default, because it has
    only run with a stand-in for a GPU so far."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What the model computes in. `auto` is bfloat16 on a GPU and float32 on the CPU. What learns
    is float32, because small steps are lost in 16 bits: adapters, or a copy of all weights beside
    the model."""
    recompute: bool = False
    """Gradient checkpointing: hold one layer's activations at a time and compute them again in the
    backward pass, for a third more work and far less memory."""
    processes: int = Field(default=1, ge=1, le=64)
    """Processes on this machine that share the work of a step, one for each GPU if there are GPUs.
    The result is that of one process, up to float rounding. A step that is a single part
    (`batch_tokens`) is the work of one process."""
    gpus: Gpus | None = None
    """Which GPUs train, by number from 0: one for each of `processes`. Left out: the first ones."""
    quantized: bool = False
    """Whether the linear layers of the frozen base are held in 4 bits (NF4, by bitsandbytes) while
    an adapter learns: QLoRA (Dettmers et al., arXiv:2305.14314). The engine should hold them so,
    too: `quantized: true` of a local one, `arguments: [--quantization, bitsandbytes]` of vLLM."""
    shard: bool = False
    """Whether the model, its learned weights and the optimiser's state are divided over the
    processes (FSDP2), for models that no device can hold; otherwise each process holds all of
    it."""
    lora: Lora | None = Lora()
    """The adapter that learns; with `null` all of the model's weights learn."""
    tolerance: Annotated[float, Field(gt=0)] | Literal["auto"] = "auto"
    """How far an engine's log-probabilities of a reply may be from the trainer's after new weights
    are loaded: the mean difference in nats a token. `auto` is 0.01 if both compute in float32,
    where it comes to less than 0.001, and otherwise 0.1, because 16 bits are coarser."""
    guards: Guards = Guards()
    """Bounds that stop the training of a policy that collapses."""

    @model_validator(mode="after")
    def _all_weights_learn_slowly(self) -> Self:
        """Set the learning rate of all weights, where nobody does.

        AdamW moves each weight by about the rate, and theirs are so many that at an adapter's rate
        one step leaves nothing of the model.
        """
        if self.lora is None and "lr" not in self.model_fields_set:
            object.__setattr__(self, "lr", WHOLE_LR)  # it is frozen from here on
        return self

    @model_validator(mode="after")
    def _all_is_used(self) -> Self:
        if self.processes == 1:
            self.refuse("shard", where="with `processes: 1`: it holds all of the model")
        if self.device == "cpu":
            self.refuse("gpus", where="with `device: cpu`")
        if self.lora is None:
            self.refuse("quantized", where="with `lora: null`: what learns isn't rounded")
        if self.shard:
            self.refuse("quantized", where="with `shard: true`: 4 bits aren't divided")
        if self.gpus is not None and len(self.gpus) != self.processes:
            raise ValueError(
                f"expected a GPU in `gpus` for each of the processes ({self.processes}), "
                f"got {len(self.gpus)}"
            )
        unrecorded = {
            "device: cpu": self.device == "cpu",
            "lora: null": self.lora is None,
            "recompute: true": self.recompute,
            "shard: true": self.shard,
            "quantized: true": self.quantized,
        }
        for setting, there in unrecorded.items():
            if there:
                self.refuse("graphs", where=f"with `{setting}`: no pass is recorded then")
        return self

    @property
    def apart(self) -> bool:
        """Whether it is done outside this process: by several, or by one that sees a GPU alone."""
        return self.processes > 1 or self.gpus is not None

    @property
    def precision(self) -> Literal["float32", "bfloat16"]:
        """What the model computes in, as far as that can be told without loading it."""
        return self.precision_on(gpu=on_this_machine("auto", self.device) == "bfloat16")

    def precision_on(self, *, gpu: bool) -> Literal["float32", "bfloat16"]:
        """Return what the model computes in on a GPU, or where there is none."""
        if self.dtype != "auto":
            return self.dtype
        return "bfloat16" if gpu else "float32"

    @property
    def held(self) -> Literal["float32", "bfloat16", "nf4"]:
        """What the base model is held in, as far as that can be told without loading it.

        That is what it computes in, but FSDP2 itself rounds weights that it divides and that learn.
        """
        if self.quantized:
            return "nf4"
        return "float32" if self.shard and self.lora is None else self.precision
