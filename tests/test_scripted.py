import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import ValidationError

from moot.agents.scripted import Reply, Scripted, ScriptedEngine
from moot.agents.simulated import Simulated
from moot.agents.types import Completion, Message, Request, Sampling, Weights


def request(text: str = "hello there", seed: int = 0, version: int = 0) -> Request:
    return Request((Message("user", text),), Sampling(), seed, "pupil", version)


def answers(settings: Scripted | Simulated, *requests: Request) -> list[Completion]:
    async def ask() -> list[Completion]:
        async with settings.open(Path()) as engine:
            return [await engine.generate(one) for one in requests]

    return asyncio.run(ask())


def test_the_seed_chooses_the_line() -> None:
    engine = Scripted(lines=("a", "b c"))
    asked = [request(seed=seed) for seed in range(200)]
    completions = answers(engine, *asked)
    said = [one.text for one in completions]

    assert said == [one.text for one in answers(engine, *asked)]
    assert 70 < said.count("a") < 130
    alike = sum(one == other for one, other in pairwise(said))
    assert 70 < alike < 130  # neither do neighbouring seeds take turns, nor agree
    counts = {one.text: (one.tokens_in, one.tokens_out) for one in completions}
    assert counts == {"a": (2, 1), "b c": (2, 2)}
    assert {one.finish for one in completions} == {"stop"}


def test_the_first_reply_that_fits_the_last_message_is_given_before_the_lines() -> None:
    settings = Scripted(
        lines=("else",),
        replies=(Reply(when="sum", say=("3", "4")), Reply(when="um", say=("um",))),
    )
    said = answers(settings, request("the sum", 1), request("hum", 1), request("no", 1))

    assert said[0].text in ("3", "4")
    assert [one.text for one in said[1:]] == ["um", "else"]


def test_it_says_the_only_choice_and_of_several_its_line() -> None:
    asked = (replace(request(), choices=("so it is",)), replace(request(), choices=("1", "2")))
    said = answers(Scripted(lines=("else",)), *asked)

    assert [(one.text, one.shares) for one in said] == [("so it is", ()), ("else", ())]


def test_there_must_be_something_to_say() -> None:
    with pytest.raises(ValidationError, match="lines"):
        Scripted(lines=())
    with pytest.raises(ValidationError, match="say"):
        Reply(when="x", say=())


def test_its_learners_train_the_model_that_it_names() -> None:
    assert Scripted(lines=("a",)).trains is None
    assert Scripted(lines=("a",), model="some-model").trains == "some-model"


def test_completions_are_stamped_with_the_version_that_is_held() -> None:
    async def play() -> None:
        engine = ScriptedEngine(lambda request: "one two three")
        assert (await engine.generate(request(version=3))).version == 0
        assert await engine.held() == {}
        await engine.load(Weights("pupil", 2, Path("nowhere")))
        assert await engine.held() == {"pupil": 2}
        assert (await engine.generate(request(version=2))).version == 2
        assert (await engine.generate(request(version=0))).version == 0

    asyncio.run(play())


def test_made_up_log_probs_follow_from_text_and_version() -> None:
    async def play() -> None:
        engine = ScriptedEngine(lambda request: "one two three")
        base = await engine.generate(request())
        again = await engine.generate(request(seed=5))
        await engine.load(Weights("pupil", 1, Path("nowhere")))
        trained = await engine.generate(request(version=1))

        assert base.logprobs == again.logprobs
        assert len(base.logprobs) == 3
        assert all(-4 <= logp < 0 for logp in base.logprobs)
        assert all(a != b for a, b in zip(base.logprobs, trained.logprobs, strict=True))

    asyncio.run(play())


def test_simulated_agents_tell_nothing_of_how_likely_their_words_are() -> None:
    only = replace(request(), choices=("this",))

    for said in answers(Simulated(), request(), only):
        assert said.logprobs == ()
        assert said.tokens_out > 0
    assert all(one.logprobs for one in answers(Scripted(lines=("a",)), request(), only))


def test_a_function_may_give_a_whole_completion_or_raise() -> None:
    lie = Completion("x", "length", 9, 1, 1, 0.0)

    def reply(request: Request) -> Completion:
        if request.seed:
            raise ZeroDivisionError
        return lie

    engine = ScriptedEngine(reply)
    assert asyncio.run(engine.generate(request())) is lie
    with pytest.raises(ZeroDivisionError):
        asyncio.run(engine.generate(request(seed=1)))
