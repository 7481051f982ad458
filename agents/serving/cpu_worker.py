"""A vLLM worker on a CPU that multiplies adapters as in `cpu_lora`."""

from collections.abc import Sequence
from typing import Any

from vllm.lora.punica_wrapper import punica_cpu

from .cpu_lora import Parts


class Grouped(punica_cpu.PunicaWrapperCPU):
    """What multiplies adapters on a CPU."""

    def update_metadata(self, *args: Any, **kwargs: Any) -> None:
        """Take note of who speaks in the next batches."""
        super().update_metadata(*args, **kwargs)
        self._tokens = Parts(self.token_lora_indices)
        self._samples = Parts(self.sampler_indices)

    def add_lora_linear(
        self,
        y: Any,
        x: Any,
        lora_a_stacked: Sequence[Any],
        lora_b_stacked: Sequence[Any],
        scale: float,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Add to a linear layer's output what the adapters make of its input."""
        self._tokens.add(y, x, lora_b_stacked, lora_a_stacked, scale)

    def add_lora_embedding(self, y: Any, x: Any, lora_b_stacked: Any, *_: Any, **__: Any) -> None:
        """Add to the embedding what the adapters make of their own embeddings."""
        self._tokens.add(y, x, [lora_b_stacked])

    def add_lora_logits(
        self,
        y: Any,
        x: Any,
        lora_a_stacked: Any,
        lora_b_stacked: Any,
        scale: float,
        **kwargs: Any,
    ) -> None:
        """Add to the logits what the adapters make of the last hidden states."""
        self._samples.add(y, x, [lora_b_stacked], [lora_a_stacked], scale)


def mend() -> None:
    """Have vLLM use it from now on, in this process."""
    punica_cpu.PunicaWrapperCPU = Grouped  # by this name it is looked up
