"""Polls: the ids of what is weighed, on a server and as the trainer has them."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from conftest import BuildTiny
from transformers import AutoTokenizer

from moot.agents.embedded.tokens import Tokens
from moot.agents.serving.poll import Polls
from moot.agents.wire import Wire

THOUGHTS = "<t></t>"
TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m.role }}:"
    "{% if m.role == 'assistant' and loop.last %}<t></t>{% endif %}{{ m.content }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant:{% endif %}"
)
"""As Qwen3's: empty thoughts stand before the last reply, and not where one is to be said."""


class Tokenizes:
    """A server's /tokenize."""

    root = "http://fake"

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    async def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        assert path == "/tokenize"
        text = body.get("prompt") or self._tokenizer.apply_chat_template(
            body["messages"],
            tokenize=False,
            add_generation_prompt=body["add_generation_prompt"],
            continue_final_message=body["continue_final_message"],
        )
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return json.dumps({"tokens": ids}).encode()


@pytest.mark.parametrize("thinks", [True, False])
def test_the_only_choice_has_the_trainers_ids_and_several_stand_behind_thoughts(
    thinks: bool, build_tiny: BuildTiny, tmp_path: Path
) -> None:
    folder = build_tiny(tmp_path)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATE if thinks else TEMPLATE.replace(THOUGHTS, "")
    tokenizer.save_pretrained(folder)
    polls = Polls(cast(Wire, Tokenizes(folder)))

    def ids(text: str, *, only: bool) -> tuple[int, ...]:
        found = polls._tokens("base", text, only=only)  # pyright: ignore[reportPrivateUsage]
        return asyncio.run(found)

    trained = Tokens(folder).completion("12", ended=False)
    assert [*ids("12", only=True)] == trained
    before = tokenizer(THOUGHTS, add_special_tokens=False)["input_ids"] if thinks else []
    assert [*ids("12", only=False)] == [*before, *trained]
