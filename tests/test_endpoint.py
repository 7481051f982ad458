"""An endpoint and its gate against a real HTTP server that misbehaves as it is told to."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import (
    PROMPT,
    REQUEST,
    Fake,
    Mood,
    choice,
    half,
    hangs,
    play,
    refuses,
    reply,
    resets,
    says,
)
from pydantic import ValidationError

from moot.agents.endpoint import Endpoint
from moot.agents.engine import Engine, Limits
from moot.agents.errors import EngineError, Fault, Refusal
from moot.agents.gate import Gate
from moot.agents.types import Completion, Request, Sampling, Weights

KEY = "sk-very-secret"


def ask(*moods: Mood, request: Request = REQUEST, **settings: Any) -> Completion:
    return play(Fake(list(moods)), lambda engine: engine.generate(request), **settings)


def gated(engine: Engine, **limits: Any) -> Gate:
    async def at_once(seconds: float) -> None:
        await asyncio.sleep(0)

    settled = Limits(**limits)
    limit = settled.deadline_s(600)
    return Gate("far", engine, settled, random.Random(0), at_once, deadline_s=limit)


# What is asked and what is read


def test_the_server_is_asked_what_the_request_says() -> None:
    fake = Fake()
    sampling = Sampling(temperature=0.5, top_p=0.9, top_k=40, max_tokens=9, stop=("\n",))
    play(fake, lambda engine: engine.generate(Request(PROMPT, sampling, seed=2**62 + 7)))
    assert fake.asked == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "2 + 2?"},
            ],
            "n": 1,
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 40,
            "max_tokens": 9,
            "seed": 7,
            "stop": ["\n"],
        }
    ]


def test_what_is_off_is_not_sent() -> None:
    fake = Fake()
    play(fake, lambda engine: engine.generate(REQUEST))
    assert not {"top_k", "stop", "logprobs"} & set(fake.asked[0])
    assert "Authorization" not in fake.headers[0]


def test_the_completion_is_what_the_server_said() -> None:
    completion = ask()
    assert (completion.text, completion.finish, completion.version) == ("4", "stop", 0)
    assert (completion.tokens_in, completion.tokens_out) == (11, 1)
    assert completion.latency_s > 0
    assert (completion.tokens, completion.logprobs) == ((), ())


def test_a_completion_that_ran_out_of_tokens_says_so() -> None:
    assert ask(says(reply(choices=[choice(finish_reason="length")]))).finish == "length"


def test_an_empty_answer_is_an_answer() -> None:
    assert ask(says(reply(choices=[choice(message={"content": ""})]))).text == ""


def test_the_url_may_end_in_v1_or_a_slash() -> None:
    async def ask_at(suffix: str) -> str:
        fake = Fake()
        runner = await fake.start()
        async with Endpoint(url=fake.url + suffix, model="m").open(Path()) as engine:
            text = (await engine.generate(REQUEST)).text
        await runner.cleanup()
        return text

    assert [asyncio.run(ask_at(suffix)) for suffix in ("", "/", "/v1", "/v1/")] == ["4"] * 4


# What may pass and what won't


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_these_statuses_may_pass(status: int) -> None:
    with pytest.raises(Fault, match=f"/v1/chat/completions: HTTP {status}: busy"):
        ask(refuses(status, "busy"))


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 413, 422, 501])
def test_these_statuses_wont_pass(status: int) -> None:
    with pytest.raises(EngineError, match=f"HTTP {status}: bad luck") as caught:
        ask(refuses(status, "bad\n  luck", Location="http://127.0.0.1:1/"))
    assert not isinstance(caught.value, Fault)


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


@pytest.mark.parametrize("name", ["no usage", "a number", "called"])
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


# The key


def test_the_key_is_sent_and_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", f" {KEY}\n")
    fake = Fake([refuses(401, f"Incorrect key: {KEY}")])
    with pytest.raises(EngineError, match=r"Incorrect key: \[key\]") as caught:
        play(fake, lambda engine: engine.generate(REQUEST), key_env="FAR_KEY")
    assert fake.headers[0]["Authorization"] == f"Bearer {KEY}"
    endpoint = Endpoint(url=fake.url, model="m", key_env="FAR_KEY")
    assert KEY not in f"{caught.value!r} {endpoint!r} {endpoint.model_dump_json()}"


def test_a_missing_or_odd_key_is_named_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FAR_KEY", raising=False)
    with pytest.raises(EngineError, match="variable FAR_KEY is not set"):
        ask(key_env="FAR_KEY")
    monkeypatch.setenv("FAR_KEY", "two\nlines")
    with pytest.raises(EngineError, match="FAR_KEY holds no key") as caught:
        ask(key_env="FAR_KEY")
    assert "two" not in str(caught.value)


# Settings


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://host",
        "http://",
        "http://a:b@host",
        "http://host:port",
        "http://host:99999",
        "https://host/v1?key=1",
        "http://ho st",
        "http://[::1",
        "file:///etc/passwd",
        "http://a..b",
        f"http://{'a' * 64}.org",
    ],
)
def test_what_isnt_a_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="url"):
        Endpoint(url=url, model="m")


def test_an_endpoint_cant_be_trained() -> None:
    assert Endpoint(url="http://host", model="m").trains is None
    weights = Weights("pupil", 1, Path("adapter"))
    with pytest.raises(EngineError, match="can't load weights"):
        play(Fake(), lambda engine: engine.load(weights))
    learned = Request(PROMPT, Sampling(), seed=1, weights="pupil", version=1)
    with pytest.raises(EngineError, match="no weights but its own"):
        ask(request=learned)
    assert play(Fake(), lambda engine: engine.held()) == {}


# Through the gate


@pytest.mark.parametrize(
    "mood",
    [refuses(500), refuses(429, Retry_After="1"), says(b'{"choi'), half, resets, hangs],
    ids=["500", "429", "malformed", "half a body", "reset", "hangs"],
)
def test_the_gate_gets_past_a_fault(mood: Mood) -> None:
    fake = Fake([mood, mood])

    async def part(engine: Engine) -> tuple[str, int]:
        gate = gated(engine, timeout_s=0.2)
        return (await gate.generate(REQUEST)).text, gate.retries

    assert play(fake, part) == ("4", 2)
    assert fake.asked[0] == fake.asked[1] == fake.asked[2]


def test_a_server_that_stays_down_ends_in_one_clear_line() -> None:
    async def part(engine: Engine) -> None:
        await gated(engine, patience_s=0.2).generate(REQUEST)

    with pytest.raises(Fault) as caught:
        play(Fake([refuses(503, "on\nfire")] * 10_000), part)
    line = str(caught.value)
    assert line.startswith("engine 'far': gave up after ")
    assert line.endswith("/v1/chat/completions: HTTP 503: on fire")
    assert "\n" not in line


def test_a_server_that_says_nothing_ends_in_one_clear_line() -> None:
    async def part(engine: Engine) -> None:
        await gated(engine, timeout_s=0.05, patience_s=0.01).generate(REQUEST)

    with pytest.raises(Fault, match=r"gave up after 1 try .*: no answer within 0.05 s"):
        play(Fake([hangs] * 9), part)


def test_a_server_may_go_away_and_come_back_on_its_port() -> None:
    async def scene() -> tuple[list[str], int]:
        fake = Fake()
        runner = await fake.start()
        missed = asyncio.Event()

        async def sleep(seconds: float) -> None:
            missed.set()
            await back.wait()

        back = asyncio.Event()
        async with Endpoint(url=fake.url, model="m").open(Path()) as engine:
            gate = Gate("far", engine, Limits(), random.Random(0), sleep=sleep)
            texts = [(await gate.generate(REQUEST)).text]
            await runner.cleanup()
            waiting = asyncio.create_task(gate.generate(REQUEST))
            await missed.wait()
            runner = await fake.start()
            back.set()
            texts.append((await waiting).text)
            await runner.cleanup()
            return texts, gate.retries

    texts, retries = asyncio.run(scene())
    assert texts == ["4", "4"]
    assert retries >= 1


def test_many_share_the_pool() -> None:
    fake = Fake()

    async def part(engine: Engine) -> int:
        gate = gated(engine, concurrency=200)
        said = await asyncio.gather(*(gate.generate(REQUEST) for _ in range(400)))
        return len(said)

    assert play(fake, part) == len(fake.asked) == 400
