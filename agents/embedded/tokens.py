"""Tokens: a prompt to ids by the model's own chat template, and ids to text."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoTokenizer

from ..errors import EngineError, in_one_line
from ..types import PROBE, Prompt

RESERVED = re.compile("reserved|unused|extra", re.IGNORECASE)
PARTS = ("bos", "eos", "pad", "unk", "sep", "cls", "mask")
"""What a special token may be to a tokenizer."""
PROMPTS = 128
"""So many prompts' ids are remembered: those of a step's rows are asked for several times."""


class Tokens:
    """A model's tokenizer; not for use by several threads at once."""

    def __init__(self, model: Path, configs: Iterable[Any] = ()) -> None:
        """Load the tokenizer of the model in the folder `model`.

        Args:
            model: the folder.
            configs: the model's own, which may know of more tokens that end a reply.
        """
        self._model = model
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                model, trust_remote_code=False, local_files_only=True
            )
        except Exception as error:  # tokenizers raise what they like
            raise EngineError(
                f"{model}: can't load this tokenizer: {in_one_line(error)}"
            ) from error
        if not self._tokenizer.chat_template:
            raise EngineError(
                f"{model}: this model has no chat template, so it can't be asked; "
                "take its instruct version, or put a chat_template.jinja into the folder"
            )
        try:
            said, (self._before, self._begin) = self._said_last(), self._before_replies()
        except Exception as error:  # templates are programs: they raise what they like
            raise EngineError(
                f"{model}: its chat template refuses a plain chat: {in_one_line(error)}"
            ) from error
        self._end: int | None = self._tokenizer.eos_token_id if said is None else said
        self.ends = frozenset(self._ends(configs))
        """The tokens that end a reply."""
        self._prompts = lru_cache(PROMPTS)(self._prompt)

    def prompt(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the ids of a prompt, ready for the assistant's reply.

        Where there is no system message, many templates put in one of their own.
        """
        return self._prompts(prompt)

    def _prompt(self, prompt: Prompt) -> tuple[int, ...]:
        try:
            text = self._chat(prompt, reply=True)
        except Exception as error:  # templates are programs: they raise what they like
            raise EngineError(
                f"the model's chat template refuses the prompt: {in_one_line(error)}"
            ) from error
        return self._ids(text)

    @property
    def spare(self) -> int | None:
        """A special token that is no part of any chat; `None`: the vocabulary has none.

        One that is called reserved or unused where there is one, else the last one.  A tokenizer
        may list more than its model has embeddings for.
        """
        known = AutoConfig.from_pretrained(self._model).get_text_config().vocab_size
        # Those that have a part, and not all that are listed as special: Qwen lists these too.
        parts = (getattr(self._tokenizer, f"{part}_token_id", None) for part in PARTS)
        used = {*self.ends, *parts, *self._ids(self._chat(PROBE, reply=True))}
        template = str(self._tokenizer.chat_template)
        free = {
            i: str(token)
            for i, token in self._tokenizer.added_tokens_decoder.items()
            if token.special and i < known and i not in used and str(token) not in template
        }
        named = [i for i, name in free.items() if RESERVED.search(name)]
        return max(named or free, default=None)

    @property
    def dated(self) -> bool:
        """Whether the chat template prints the date of the day it is used on."""
        return "strftime_now" in str(self._tokenizer.chat_template)

    def completion(self, text: str, *, ended: bool) -> list[int]:
        """Return the ids of a reply, with the token that ends one if it `ended`."""
        end = [self._end] if ended and self._end is not None else []
        ids, length = self._ids(self._before + text), len(self._begin)
        # What is joined to the token before it is in no chat by itself: it is taken alone.
        own = ids[length:] if ids[:length] == self._begin else self._ids(text)
        return [*own, *end]

    def text(self, ids: Sequence[int]) -> str:
        """Return what ids say; special tokens say nothing."""
        return self._tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )

    def _chat(self, prompt: Prompt, *, reply: bool) -> str:
        chat = [{"role": said.role, "content": said.content} for said in prompt]
        return self._tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=reply
        )

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _ends(self, configs: Iterable[Any]) -> Iterable[int]:
        """Yield what the files call the end, and what the template ends a reply with."""
        for config in (self._tokenizer, *configs):
            ends: Any = getattr(config, "eos_token_id", None)
            yield from [] if ends is None else [ends] if isinstance(ends, int) else ends
        if self._end is not None:
            yield self._end

    def _before_replies(self) -> tuple[str, tuple[int, ...]]:
        """Return what replies are tokenised behind, and its ids; nothing where they may be alone.

        As SentencePiece does, some tokenizers put a space before a text that it hasn't in a chat.
        """
        asked, reply = self._chat(PROBE[:1], reply=True), PROBE[-1].content
        begin, alone, both = map(self._ids, (asked, reply, asked + reply))
        whole = self._ids(self._chat(PROBE, reply=False))
        so = whole[: len(both)] == both != (*begin, *alone)
        return (asked, begin) if so and both[: len(begin)] == begin else ("", ())

    def _said_last(self) -> int | None:
        """Return the special token that the chat template puts after a reply."""
        after = self._chat(PROBE, reply=False).rpartition(PROBE[-1].content)[2]
        special = {i for i, t in self._tokenizer.added_tokens_decoder.items() if t.special}
        return next(iter(special.intersection(self._ids(after)[:1])), None)
