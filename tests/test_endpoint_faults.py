"""What an endpoint makes of a real HTTP server that misbehaves: what may pass, and what won't."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from fake_endpoint import (
    REQUEST,
    Fake,
    Mood,
    ask,
    choice,
    gated,
    half,
    play,
    refuses,
    reply,
    resets,
    says,
)

from moot.agents.endpoint import Endpoint
from moot.agents.errors import EngineError, Fault, Refusal


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_these_statuses_may_pass(status: int) -> None:
    with pytest.raises(Fault, match=f"/v1/chat/completions: HTTP {status}: busy"):
        ask(refuses(status, "busy"))


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 413, 422, 501])
def test_these_statuses_wont_pass(status: int) -> None:
    with pytest.raises(EngineError, match=f"HTTP {status}: bad luck") as caught:
        ask(refuses(status, "bad\n  luck", Location="http://127.0.0.1:1/"))
    assert not isinstance(caught.value, Fault)


@pytest.mark.parametrize("key", ["code", "type"])
def test_where_no_money_is_left_no_wait_helps(key: str) -> None:
    spent = {"message": "You exceeded your current quota", key: "insufficient_quota"}
    with pytest.raises(EngineError, match="HTTP 429: You exceeded") as caught:
        ask(says({"error": spent}, 429))
    assert not isinstance(caught.value, Fault | Refusal)
    with pytest.raises(Fault):
        ask(says({"error": {"message": "slow down", key: "rate_limit_exceeded"}}, 429))


UNREADABLE = {
    "malformed": (says(b'{"model": "m", "choi'), "unreadable answer: Input data was truncated"),
    "not JSON": (says(b"<html>hello</html>"), "unreadable answer: JSON is malformed"),
    "empty": (says(b""), "unreadable answer: Input data was truncated"),
    "a list": (says([]), "unreadable answer"),
    "no choices": (says(reply(choices=[])), "of length >= 1 - at `$.choices`"),
    "choices missing": (says({"model": "m"}), "missing required field `choices`"),
    "no usage": (says(reply(usage=None)), "got `null` - at `$.usage`"),
    "no text": (
        says(
            reply(
                choices=[choice(message={"content": None})],
                usage={"prompt_tokens": 11, "completion_tokens": 0},
            )
        ),
        "answer has no text",
    ),
    "a number": (
        says(reply(choices=[choice(message={"content": 4})])),
        "got `int` - at `$.choices[0].message.content`",
    ),
    "aborted": (says(reply(choices=[choice(finish_reason="abort")])), "finish_reason 'abort'"),
    "unfinished": (says(reply(choices=[choice(finish_reason=None)])), "finish_reason None"),
    "called": (says(reply(choices=[choice(finish_reason="tool_calls")])), "'tool_calls' is nei"),
    "not quite JSON": (says(b'{"model": "m",}'), "unreadable answer: JSON is malformed"),
    "half a body": (half, "/v1/chat/completions: "),
    "a reset": (resets, "/v1/chat/completions: "),
}


@pytest.mark.parametrize(("mood", "words"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_answer_that_cant_be_read_may_be_better_next_time(mood: Mood, words: str) -> None:
    with pytest.raises(Fault) as caught:
        ask(mood)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_filtered_answer_is_refused_and_no_other() -> None:
    with pytest.raises(Refusal, match="content filter"):
        ask(says(reply(choices=[choice(finish_reason="content_filter", message={})])))


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_the_server_finds_fault_with_is_refused_and_no_other(status: int) -> None:
    with pytest.raises(Refusal, match=f"HTTP {status}: too long"):
        ask(refuses(status, "too long"))


def test_thinking_that_used_up_the_tokens_leaves_an_empty_answer() -> None:
    for finish in ("length", "stop"):
        thought = choice(message={"content": None}, finish_reason=finish)

        completion = ask(says(reply(choices=[thought])))

        assert (completion.text, completion.finish) == ("", finish)


def test_what_a_model_says_instead_of_what_it_was_asked_is_what_it_says() -> None:
    refused = choice(message={"content": None, "refusal": "I can't help with that."})

    assert ask(says(reply(choices=[refused]))).text == "I can't help with that."


@pytest.mark.parametrize("torn", [rb"\ud83d", b"\xff"])
def test_half_a_character_is_read_as_one_that_isnt_known(torn: bytes) -> None:
    answer = orjson.dumps(reply(choices=[choice(message={"content": "4 HALF"})]))

    assert ask(says(answer.replace(b"HALF", torn))).text == "4 \ufffd"


@pytest.mark.parametrize("counts", [(11.0, 1.0), ("11", "1"), (11, None), (None, 1)])
def test_what_is_beside_the_answer_costs_it_nothing(counts: tuple[Any, Any]) -> None:
    usage = dict(zip(("prompt_tokens", "completion_tokens"), counts, strict=True))

    said = ask(says(reply(model=None, usage=usage)))

    told = tuple(int(count or 0) for count in counts)
    assert (said.text, said.tokens_in, said.tokens_out) == ("4", *told)


def test_an_error_inside_a_200_is_what_its_code_says() -> None:
    def inside(error: Any) -> Mood:
        return says({"id": "1", "error": error})

    with pytest.raises(Fault, match="HTTP 200: upstream is away"):
        ask(inside({"message": "upstream is away", "code": 502}))
    with pytest.raises(Fault, match="HTTP 200: bad luck"):
        ask(inside("bad luck"))
    with pytest.raises(EngineError, match="HTTP 200: no credits") as caught:
        ask(inside({"message": "no credits", "code": 402}))
    assert not isinstance(caught.value, Fault)


@pytest.mark.parametrize(
    "name", ["no usage", "a number", "called", "no text", "unfinished", "not quite JSON"]
)
def test_an_answer_that_nothing_can_be_made_of_is_not_bought_for_long(name: str) -> None:
    mood = {name: mood for name, (mood, _) in UNREADABLE.items()}[name]
    fake = Fake([mood] * 99)

    with pytest.raises(EngineError, match=r"\(4 times for one request\)") as caught:
        play(fake, lambda engine: gated(engine).generate(REQUEST))

    assert not isinstance(caught.value, Fault)
    assert len(fake.asked) == 4


def test_a_server_that_isnt_there_may_come() -> None:
    async def scene() -> None:
        async with Endpoint(url="http://127.0.0.1:9", model="m").open(Path()) as engine:
            await engine.generate(REQUEST)

    with pytest.raises(Fault, match=r"http://127.0.0.1:9/.*: Cannot connect"):
        asyncio.run(scene())


def test_the_wait_that_a_server_asks_for_is_read_as_seconds_or_a_date() -> None:
    soon = datetime.now(UTC) + timedelta(seconds=90)
    for header, low, high in (
        ("7", 7, 7),
        ("1.5", 1.5, 1.5),
        ("0", 0, 0),
        (format_datetime(soon, usegmt=True), 60, 91),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
    ):
        with pytest.raises(Fault) as caught:
            ask(refuses(429, Retry_After=header))
        assert caught.value.retry_after is not None
        assert low <= caught.value.retry_after <= high
    for header in ("soon", "-3", "nan", ""):
        with pytest.raises(Fault) as caught:
            ask(refuses(503, Retry_After=header))
        assert caught.value.retry_after is None


def test_the_servers_own_words_come_in_one_short_line() -> None:
    overflow = "This model's maximum context length is 2048 tokens.\nYou asked for 4096."
    for body, words in (
        ({"error": {"message": overflow}}, "2048 tokens. You asked for 4096."),
        ({"error": "flat"}, "HTTP 400: flat"),
        ({"message": "bare"}, "HTTP 400: bare"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, "field required"),
        (b"plain words", "HTTP 400: plain words"),
        (b"<html><h1>Bad</h1></html>", "HTTP 400: Bad Request"),
        (b"", "HTTP 400: Bad Request"),
        (b"\xff\xfe" + b"x" * 9999, "xxx…"),
    ):
        with pytest.raises(EngineError) as caught:
            ask(says(body, status=400))
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 400
