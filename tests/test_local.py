"""The local engine, on a tiny model: it says what transformers says."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from local_engine import TEXTS, answers, forced, plain, request, with_engine
from transformers import AutoTokenizer

from moot.agents.embedded.context import shared
from moot.agents.embedded.local import Local
from moot.agents.engine import Engine


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_greedy_says_what_transformers_says(
    build_tiny: Callable[..., Path], tmp_path: Path, architecture: str
) -> None:
    folder = build_tiny(tmp_path / "model", seed=1, architecture=architecture)
    said = answers(folder, *(request(t, temperature=0, max_tokens=24) for t in TEXTS))

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
    chats = [[{"role": "user", "content": text}] for text in TEXTS]
    inputs = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    expected = plain(folder).generate(**inputs, max_new_tokens=24, do_sample=False)
    for one, ids in zip(said, expected[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
        assert list(one.tokens) == ids[: len(one.tokens)]


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.5])
def test_log_probs_are_those_of_the_model_itself(tiny: Path, temperature: float) -> None:
    how: dict[str, Any] = {"temperature": temperature, "top_k": 20, "top_p": 0.9, "max_tokens": 12}
    asked = [request(text, seed, **how) for text in TEXTS for seed in range(3)]
    said = answers(tiny, *asked)

    model = plain(tiny)
    for one in said:
        assert (one.tokens_in, one.tokens_out) == (len(one.prompt_tokens), len(one.tokens))
        torch.testing.assert_close(
            torch.tensor(one.logprobs), forced(model, one), atol=1e-4, rtol=1e-4
        )


def test_the_seed_decides_what_is_said(tiny: Path) -> None:
    same, again, other = answers(tiny, *(request("Hi", s, max_tokens=16) for s in (1, 1, 2)))

    assert same.text == again.text
    assert same.tokens == again.tokens
    assert same.tokens != other.tokens


def test_a_batch_of_one_gives_the_same_bytes_whatever_else_is_asked(tiny: Path) -> None:
    asked = [request(text, seed, max_tokens=8) for text in TEXTS for seed in range(2)]
    among = answers(tiny, *asked, batch=1)
    alone = answers(tiny, asked[3], batch=1)

    assert among[3] == alone[0]


def test_the_end_token_is_among_the_tokens_and_not_in_the_text(tiny: Path) -> None:
    # So hot that any token may come: some row ends before its bound.
    said = answers(tiny, *(request("Hi", s, temperature=2, max_tokens=200) for s in range(24)))
    ended = [one for one in said if one.finish == "stop"]
    end = 2  # <|end|>

    assert 0 < len(ended) < len(said)
    for one in said:
        assert (one.tokens[-1] == end) == (one.finish == "stop")
        assert end not in one.tokens[:-1]
        assert "<|" not in one.text
    assert all(one.tokens_out == 200 for one in said if one.finish == "length")
    torch.testing.assert_close(  # rows that ended left the batch, and the others went on rightly
        torch.tensor(said[-1].logprobs), forced(plain(tiny), said[-1]), atol=1e-4, rtol=1e-4
    )


def test_a_stop_text_ends_the_completion_and_is_not_part_of_it(tiny: Path) -> None:
    how: dict[str, Any] = {"temperature": 0.0, "max_tokens": 60}
    (whole,) = answers(tiny, request("Hi", **how))
    stop = whole.text[10:12]
    (cut,) = answers(tiny, request("Hi", stop=(stop, "never said"), **how))

    assert cut.text == whole.text[: whole.text.find(stop)]
    assert (cut.finish, whole.finish) == ("stop", "length")
    assert cut.tokens == whole.tokens[: cut.tokens_out]
    assert cut.tokens_out < whole.tokens_out


def test_a_reply_ends_where_the_models_context_does(tiny: Path) -> None:
    (said,) = answers(tiny, request("x" * 200, max_tokens=500))

    assert said.tokens_in + said.tokens_out == 256
    assert said.finish == "length"


def test_a_prompt_without_room_for_a_reply_is_refused_alone(tiny: Path) -> None:
    async def ask(engine: Engine) -> list[Any]:
        asked = [request("x" * 300, max_tokens=4), request("Hi", max_tokens=4)]
        return await asyncio.gather(*map(engine.generate, asked), return_exceptions=True)

    refused, said = with_engine(Local(model=str(tiny)), ask)

    assert str(refused) == (
        "a prompt of 319 tokens leaves no room for a reply in the model's context of 256"
    )
    assert said.tokens_out == 4


def test_what_prompts_share_leaves_each_a_token_of_its_own() -> None:
    assert shared([[1, 2, 3], [1, 2, 4]]) == 2
    assert shared([[1, 2], [1, 2, 3]]) == 1
    assert shared([[1], [1, 2]]) == 0
    assert shared([[5, 2], [6, 2]]) == 0
