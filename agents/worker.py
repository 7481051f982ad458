"""What is added to a vLLM worker; it is imported in the process of a server that we start.

Both mend vLLM 0.32 on a CPU.  `reload_weights` reads all tensors of a file: where the output layer
is the embedding itself, no tensor is its own, and the packed copy that it has for the matrix
product stays as it was, so it is made again here.  And adapters are multiplied as in `cpu_lora`.
"""

from collections.abc import Sequence
from typing import Any

from vllm.lora.punica_wrapper import punica_cpu
from vllm.model_executor.layers.vocab_parallel_embedding import (
    ParallelLMHead,
    VocabParallelEmbedding,
)

from .cpu_lora import Parts


class Worker:
    """What is added to vLLM's own worker (`--worker-extension-cls`)."""

    model_runner: Any
    reload_weights: Any

    def read_weights(self, weights_path: str) -> None:
        """Read the weights in the folder `weights_path` in place of those in memory."""
        self.reload_weights(weights_path=weights_path)
        model = self.model_runner.get_model()
        if not getattr(model.config, "tie_word_embeddings", False):
            return
        layers = [one for one in model.modules() if isinstance(one, VocabParallelEmbedding)]
        [embedding] = [one for one in layers if not isinstance(one, ParallelLMHead)]
        for head in layers:
            if isinstance(head, ParallelLMHead):
                head.weight = embedding.weight
                head.quant_method.process_weights_after_loading(head)


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


punica_cpu.PunicaWrapperCPU = Grouped  # by this name it is looked up, on a CPU alone
