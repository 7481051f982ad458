"""What an endpoint tells of choices and shapes, against a server that answers as it is told."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from fake_endpoint import REQUEST, Fake, Mood, choice, play, refuses, reply, says

from moot.agents.engine import Engine
from moot.agents.errors import EngineError, Refusal
from moot.agents.types import Completion, Request, Sampling


def first(*alternatives: tuple[str, float], text: str = "1") -> Mood:
    """Answer `text`, whose first token might have been any of `alternatives`."""
    top = [{"token": token, "logprob": math.log(p)} for token, p in alternatives]
    said = {"token": text, "logprob": -0.1, "top_logprobs": top}
    message = {"role": "assistant", "content": text}
    return says(reply(choices=[choice(message=message, logprobs={"content": [said]})]))


def weighed(*top: dict[str, Any]) -> tuple[float, ...]:
    """Return the shares of yes and no where the alternatives to the first token are `top`."""
    said = {"token": "yes", "logprob": None, "top_logprobs": top}
    answer = reply(choices=[choice(logprobs={"content": [said]})])
    mood = says(json.dumps(answer).encode())  # as Python has it, which knows -Infinity
    return play(Fake([mood]), lambda engine: engine.generate(poll("yes", "no"))).shares


def poll(*choices: str) -> Request:
    return replace(REQUEST, choices=choices)


def test_choices_are_weighed_by_what_the_first_token_might_have_been() -> None:
    fake = Fake([first(("1", 0.5), (" 2", 0.1), ("The", 0.2), ("2", 0.05))])

    said = play(fake, lambda engine: engine.generate(poll("1", "2")))

    assert said.shares == pytest.approx((0.5 / 0.65, 0.15 / 0.65))
    assert said.text == "1"
    asked = fake.asked[0]
    assert (asked["logprobs"], asked["top_logprobs"], asked["max_tokens"]) == (True, 20, 25)


def test_a_model_that_thinks_is_given_the_room_that_the_judge_has() -> None:
    thoughts = says(
        reply(
            choices=[choice(message={"content": None}, finish_reason="length")],
            usage={"prompt_tokens": 11, "completion_tokens": 25, "total_tokens": 36},
        )
    )
    fake = Fake([thoughts, first(("1", 0.9), ("2", 0.1)), first(("2", 1.0), text="2")])

    asked = replace(poll("1", "2"), sampling=Sampling(max_tokens=300))

    async def twice(engine: Engine) -> tuple[Completion, Completion]:
        return await engine.generate(asked), await engine.generate(asked)

    one, other = play(fake, twice)

    assert (one.text, one.shares, other.text) == ("1", pytest.approx((0.9, 0.1)), "2")
    assert (one.tokens_in, one.tokens_out) == (22, 26)
    assert [body["max_tokens"] for body in fake.asked] == [25, 300, 300]


@pytest.mark.parametrize(
    ("choices", "alternatives", "shares"),
    [
        (("1", "2"), [("The", 0.9)], ()),  # no choice is among them
        (("1", "2"), [("1", 0.9)], (1.0, 0.0)),
        (("1", "10"), [("1", 0.9), ("2", 0.1)], ()),  # 1 may be the beginning of 10
        (("1", "10"), [("1", 0.6), ("10", 0.2)], (0.75, 0.25)),
        (("yes", "yellow"), [("ye", 0.6), ("yes", 0.2)], ()),
        (("yes", "no"), [("yes", 0.6), ("y", 0.1), ("no", 0.2)], (0.75, 0.25)),
        (("agree", "disagree"), [("dis", 0.6), ("agree", 0.2)], ()),  # the likelier is in pieces
        (("1", "2"), [], ()),
        (("yes", "no"), [("No", 0.85), ("Yes", 0.1), ("no", 0.05)], (0.1, 0.9)),
        (("a", "A"), [("A", 0.6), ("a", 0.2)], (0.25, 0.75)),
        (("1", "2"), [("**", 0.98), ("1", 3e-6), ("2", 1e-6)], ()),  # it goes on to name one
    ],
)
def test_what_the_first_token_cant_tell_apart_has_no_shares(
    choices: tuple[str, ...], alternatives: list[tuple[str, float]], shares: tuple[float, ...]
) -> None:
    fake = Fake([first(*alternatives)])

    assert play(fake, lambda engine: engine.generate(poll(*choices))).shares == pytest.approx(
        shares
    )


def test_an_alternative_that_cant_be_read_is_left_out() -> None:
    yes = {"token": "yes", "logprob": math.log(0.9)}

    assert weighed(yes, {"token": "no", "logprob": None}) == (1.0, 0.0)
    assert weighed(yes, {"token": "no", "logprob": -math.inf}) == (1.0, 0.0)
    assert weighed(yes, {"token": None, "logprob": -3.0}) == (1.0, 0.0)


def test_what_are_no_log_probabilities_give_no_shares() -> None:
    for logprob in (1000.0, 0.9):
        assert weighed({"token": "yes", "logprob": logprob}, {"token": "no", "logprob": -1.0}) == ()
    assert weighed({"token": "yes", "logprob": 1e-5}) == (1.0, 0.0)  # rounded


def test_a_given_reply_cant_be_weighed_by_an_endpoint() -> None:
    with pytest.raises(EngineError, match="engines of kind local and vllm can"):
        play(Fake(), lambda engine: engine.generate(poll("4")))


def test_a_schema_is_sent_as_openai_has_it() -> None:
    fake = Fake()

    play(fake, lambda engine: engine.generate(replace(REQUEST, shape='{"type": "object"}')))

    asked = fake.asked[0]["response_format"]
    assert (asked["type"], asked["json_schema"]["schema"]) == ("json_schema", {"type": "object"})


def test_what_a_server_refuses_need_not_be_asked_of_it() -> None:
    fake = Fake()

    async def part(engine: Engine) -> list[Completion]:
        asked = (poll("4", "5"), replace(REQUEST, shape='{"type": "object"}'))
        return [await engine.generate(one) for one in asked]

    said = play(fake, part, logprobs=False, json_schema=False)

    assert [(one.text, one.shares) for one in said] == [("4", ()), ("4", ())]
    assert not any(
        {"logprobs", "top_logprobs", "response_format"} & set(asked) for asked in fake.asked
    )


def test_a_server_with_fewer_alternatives_is_asked_for_fewer_from_then_on() -> None:
    fake = Fake([refuses(400, "top_logprobs must be <= 5"), first(("1", 0.75), ("2", 0.25))])

    async def part(engine: Engine) -> list[Completion]:
        return [await engine.generate(poll("1", "2")) for _ in range(2)]

    said = play(fake, part)

    assert said[0].shares == pytest.approx((0.75, 0.25))
    assert [asked["top_logprobs"] for asked in fake.asked] == [20, 5, 5]


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("This model does not support logprobs", "logprobs"),
        ("'top_logprobs' is not supported", "logprobs"),
        ("This response_format type is unavailable now", "json_schema"),
        ("Invalid schema for it", "json_schema"),
    ],
)
def test_a_refusal_names_the_option_that_leaves_out_what_is_refused(
    words: str, option: str
) -> None:
    asked = poll("1", "2") if option == "logprobs" else replace(REQUEST, shape="{}")

    with pytest.raises(Refusal) as caught:
        play(Fake([refuses(400, words)] * 9), lambda engine: engine.generate(asked))

    assert str(caught.value).endswith(f"{words} (the engine's `{option}: false` leaves it out)")


@pytest.mark.parametrize("asked", [poll("1", "2"), replace(REQUEST, shape="{}"), REQUEST])
def test_a_refusal_of_anything_else_names_no_option(asked: Request) -> None:
    with pytest.raises(Refusal, match=r"too long$"):
        play(Fake([refuses(400, "too long")]), lambda engine: engine.generate(asked))
