"""Make a model whose layers keep states, three of four, for `training.py --model FOLDER`.

It is a Qwen3.5 of random weights with the tokenizer and the size of SmolLM2-135M, 24 layers of 576,
for no such model comes with a package: what an update costs doesn't depend on what weights are.

    python benchmarks/training_hybrid.py FOLDER
    python benchmarks/training.py --model FOLDER --case grpo dpo --repetitions 3
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from moot.agents.weights.models import locate

SHAPE = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 24,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 144,
    "linear_num_key_heads": 8,
    "linear_num_value_heads": 8,
    "linear_key_head_dim": 72,
    "linear_value_head_dim": 72,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}


def main() -> None:
    """Make it in the folder that is named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    like = locate("smollm2-135m-instruct")
    tokenizer = AutoTokenizer.from_pretrained(like)
    ends = {name: getattr(tokenizer, name) for name in ("eos_token_id", "pad_token_id")}
    words = AutoConfig.from_pretrained(like).vocab_size
    torch.manual_seed(0)
    config = AutoConfig.for_model("qwen3_5_text", vocab_size=words, **SHAPE, **ends)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
