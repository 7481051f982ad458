"""What is added to a vLLM worker; it is imported in the process of a server that we start.

`reload_weights` of vLLM 0.32 reads all tensors of a file.  Where the output layer is the embedding
itself, no tensor is its own: on a CPU, where it has a packed copy for the matrix product, that copy
stays as it was.  So it is made again.  And on a CPU adapters are multiplied as in `cpu_lora`.
"""

from typing import Any

from vllm.platforms import current_platform

if current_platform.is_cpu():
    from .cpu_worker import mend

    mend()


class Worker:
    """What is added to vLLM's own worker (`--worker-extension-cls`)."""

    model_runner: Any
    reload_weights: Any

    def read_weights(self, weights_path: str) -> None:
        """Read the weights in the folder `weights_path` in place of those in memory."""
        from vllm.model_executor.layers.vocab_parallel_embedding import (
            ParallelLMHead,
            VocabParallelEmbedding,
        )

        self.reload_weights(weights_path=weights_path)
        model = self.model_runner.get_model()
        if not getattr(model.config, "tie_word_embeddings", False):
            return
        layers = [one for one in model.modules() if isinstance(one, VocabParallelEmbedding)]
        heads = [one for one in layers if isinstance(one, ParallelLMHead)]
        for head in heads:
            # A model may have other embeddings beside, such as one for each layer: less wide.
            others = (one for one in layers if one not in heads)
            tied = next(one for one in others if one.embedding_dim == head.embedding_dim)
            head.weight = tied.weight
            head.quant_method.process_weights_after_loading(head)
