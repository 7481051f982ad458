"""A reply that is given as text has the ids that it has in the chat."""

from pathlib import Path

import pytest
from spaced import LLAMA, MISTRAL, PHI, ZEPHYR, Spaces, byte_level, metaspace, prepend, tokenizer

from moot.agents.embedded.tokens import Tokens
from moot.agents.types import Message

ASKED = {"role": "user", "content": "hi"}


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
