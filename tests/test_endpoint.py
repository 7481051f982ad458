"""An endpoint against a real HTTP server: what it asks and reads, and its key."""

from pathlib import Path

import pytest
from fake_endpoint import (
    PROMPT,
    REQUEST,
    Fake,
    ask,
    choice,
    play,
    refuses,
    reply,
    says,
)

from moot.agents.endpoint import Endpoint
from moot.agents.engine import Engine
from moot.agents.errors import EngineError, Refusal
from moot.agents.types import Request, Sampling, Weights

KEY = "sk-very-secret"


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


def test_a_server_that_calls_the_bound_otherwise_is_asked_so_from_then_on() -> None:
    words = (
        "Unsupported parameter: 'max_tokens' is not supported with this model. "
        "Use 'max_completion_tokens' instead."
    )
    fake = Fake([refuses(400, words)])

    async def part(engine: Engine) -> list[str]:
        return [(await engine.generate(REQUEST)).text for _ in range(2)]

    assert play(fake, part) == ["4", "4"]
    bounds = [{k: asked[k] for k in asked if k.startswith("max_")} for asked in fake.asked]
    assert bounds == [{"max_tokens": 9}] + [{"max_completion_tokens": 9}] * 2


def test_a_bound_that_is_refused_by_either_name_is_refused() -> None:
    words = "'max_tokens' or 'max_completion_tokens' is too large: 9"
    fake = Fake([refuses(400, words)] * 9)
    with pytest.raises(Refusal, match=r"is too large: 9$"):
        play(fake, lambda engine: engine.generate(REQUEST))
    assert len(fake.asked) == 2


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


def test_an_endpoint_cant_be_trained() -> None:
    assert Endpoint(url="http://host", model="m").trains is None
    weights = Weights("pupil", 1, Path("adapter"))
    with pytest.raises(EngineError, match="can't load weights"):
        play(Fake(), lambda engine: engine.load(weights))
    learned = Request(PROMPT, Sampling(), seed=1, weights="pupil", version=1)
    with pytest.raises(EngineError, match="no weights but its own"):
        ask(request=learned)
    assert play(Fake(), lambda engine: engine.held()) == {}
