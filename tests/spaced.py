"""Tokenizers that put a space before a text that it hasn't in a chat, and one that doesn't."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

ZEPHYR = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content + '</s>' }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
MISTRAL = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}"
    "{% else %}{{ m.content + '</s>' }}{% endif %}{% endfor %}"
)
LLAMA = MISTRAL.replace("{{ m.content + '</s>' }}", "{{ ' ' + m.content + ' </s>' }}")
PHI = (
    "{% for m in messages %}{{ '<s>' + m.content + '</s>' }}{% endfor %}"
    "{% if add_generation_prompt %}<s>{% endif %}"
)

Spaces = Callable[[Tokenizer], None]


def prepend(spm: Tokenizer) -> None:
    """Have it put a space before a text as Llama-2, TinyLlama and Zephyr do."""
    spm.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def metaspace(spm: Tokenizer) -> None:
    """Have it put one only where a text begins, and split it at spaces."""
    spm.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")


def byte_level(plain: Tokenizer) -> None:
    """Have it put none."""
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


def tokenizer(folder: Path, how: Spaces, template: str) -> Any:
    """Put a tokenizer into `folder`: of letters and bytes, and what some of them are joined to."""
    merges = [("h", "i"), ("▁", "hi"), ("]", ")"), ("Ċ", "Ċ")]
    known = [*"<s>", *(f"<0x{i:02X}>" for i in range(256)), *map(chr, range(33, 127)), *"▁ĊĠ"]
    names = dict.fromkeys(["<unk>", "<s>", "</s>", *known, *(a + b for a, b in merges)])
    letters = {name: i for i, name in enumerate(names)}
    found = Tokenizer(models.BPE(vocab=letters, merges=merges, byte_fallback=True))
    how(found)
    made = PreTrainedTokenizerFast(
        tokenizer_object=found, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    made.chat_template = template
    made.save_pretrained(folder)
    return made
