"""A reply that is given as text has the ids that it has in the chat."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from moot.agents.tokens import Tokens
from moot.agents.types import Message

ASKED = {"role": "user", "content": "hi"}
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


@pytest.mark.parametrize("template", [ZEPHYR, MISTRAL, LLAMA, PHI])
@pytest.mark.parametrize("how", [prepend, metaspace])
@pytest.mark.parametrize("text", ["hi", "A", "hi hi", "é", "hi\n\nhi"])
def test_a_reply_is_tokenised_as_the_whole_chat_has_it(
    text: str, how: Spaces, template: str, tmp_path: Path
) -> None:
    own = tokenizer(tmp_path, how, template)
    chat = own.apply_chat_template([ASKED, {"role": "assistant", "content": text}], tokenize=False)
    whole = own(chat, add_special_tokens=False)["input_ids"]

    tokens = Tokens(tmp_path)
    prompt = tokens.prompt((Message("user", "hi"),))
    reply = tokens.completion(text, ended=template != LLAMA)  # a space more ends its replies

    assert (*prompt, *reply) == tuple(whole[: len(prompt) + len(reply)])
    assert tokens.completion("", ended=False) == []


def test_a_reply_that_begins_with_spaces_or_breaks_keeps_them(tmp_path: Path) -> None:
    own = tokenizer(tmp_path, prepend, ZEPHYR)

    for text, names in {" hi": ["▁hi"], "  hi": ["▁", "▁hi"], "\nhi": ["<0x0A>", "hi"]}.items():
        assert own.convert_ids_to_tokens(Tokens(tmp_path).completion(text, ended=False)) == names


def test_what_would_be_joined_to_the_prompt_is_tokenised_alone(tmp_path: Path) -> None:
    own = tokenizer(tmp_path, prepend, MISTRAL)

    reply = Tokens(tmp_path).completion(") hi", ended=False)

    assert own.convert_ids_to_tokens(reply) == ["▁", ")", "▁hi"]


@pytest.mark.parametrize("template", [ZEPHYR, ZEPHYR.replace("{{", "<think></think>{{"), PHI])
def test_a_tokenizer_that_puts_no_space_before_a_text_has_its_own_ids(
    template: str, tmp_path: Path
) -> None:
    own = tokenizer(tmp_path, byte_level, template)

    for text in ("hi", " hi", "\nhi", "\n\n\nhi", ")", "é"):
        expected = own(text, add_special_tokens=False)["input_ids"]
        assert Tokens(tmp_path).completion(text, ended=False) == expected
