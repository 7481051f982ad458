"""GGUF to safetensors: `python -m moot.agents.weights.gguf FOLDER OUT`.

A process of its own, because it needs several times the model's memory for a minute, and because
transformers talks while it works.
"""

import json
import sys
from pathlib import Path
from typing import Any

WEIGHTS = "model.gguf"


def convert(folder: Path, out: Path) -> None:
    """Write the model and tokenizer of FOLDER/model.gguf into `out`, dequantised to bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=WEIGHTS)
    # Without `dequantize` the weights stay packed, and can't be saved.
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=WEIGHTS,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    if not model.config.tie_word_embeddings:
        # Qwen2.5's small models are tied upstream; their GGUFs hold both copies, quantised
        # differently. The head's is the finer one.
        with torch.no_grad():
            model.get_input_embeddings().weight.copy_(model.lm_head.weight)
        model.config.tie_word_embeddings = True
        model.tie_weights()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def end_turns_with(out: Path, eos: tuple[int, ...]) -> None:
    """Set the tokens that end a turn, which a GGUF knows only one of."""
    path = out / "generation_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "eos_token_id": eos}, indent=2))


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
