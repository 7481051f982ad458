"""People as an engine: what they are shown, and what is taken from them."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from desk import FREE, Page, at_desk
from pydantic import ValidationError

from moot.agents.engine import Engine
from moot.agents.errors import EngineError
from moot.agents.human.desk import HELD_S, LEFT_S, Desk
from moot.agents.human.human import Human
from moot.agents.types import Completion, Message, Request, Weights

CHOICE = replace(FREE, choices=("1", "2", "10"))
FIELDS = {"ranking": {"type": "array"}, "sure": {"type": "boolean"}, "more": {"type": "integer"}}
SHAPE = replace(FREE, shape=json.dumps({"properties": FIELDS, "required": ["ranking"]}))


def taken(request: Request, *said: Any) -> tuple[list[str], Completion]:
    """Return why replies weren't taken, and what the one came to that was."""

    async def scene(engine: Engine, page: Page) -> tuple[list[str], Completion]:
        asked = asyncio.create_task(engine.generate(request))
        name = (await page.question())["name"]
        refused: list[str] = []
        for text in said:
            status, found = await page.reply(name, text)
            assert status == (200 if text == said[-1] else 422)
            if status == 422:
                refused.append(found["error"])
        return refused, await asked

    return at_desk(scene)


def test_people_see_what_a_model_would_and_their_words_are_taken_as_they_are() -> None:
    async def scene(engine: Engine, page: Page) -> None:
        asked = asyncio.create_task(engine.generate(FREE))
        question = await page.question()
        assert question["prompt"] == [
            {"role": "system", "content": "You are Anna."},
            {"role": "user", "content": "Which? <b>1</b>\n\nor 2"},
        ]
        assert (question["choices"], question["shape"]) == ([], "")
        status, found = await page.reply(question["name"], "  Neither x: ünlike\nboth  ")
        assert (status, found) == (200, {"waiting": 0, "replies": 1, "question": None})
        said = await asked
        assert (said.text, said.finish, said.version) == ("Neither x: ünlike\nboth", "stop", 0)
        assert (said.tokens_in, said.tokens_out, said.shares) == (0, 0, ())
        assert said.latency_s > 0

    at_desk(scene)


def test_a_choice_is_one_of_those_there_are() -> None:
    refused, said = taken(CHOICE, "3", "1 or 2", " 10 ")

    assert refused == ["Choose one of 1, 2, 10."] * 2
    assert (said.text, said.finish) == ("10", "stop")


def test_json_has_the_form_that_is_wanted() -> None:
    unfit = ["{", "[1]", "[" * 100_000, "{}", '{"ranking": 2}', '{"ranking": [1], "sure": 1}']
    refused, said = taken(SHAPE, *unfit, '{"ranking": [2, 1], "sure": true, "more": 1}')

    assert json.loads(said.text)["ranking"] == [2, 1]
    assert [why.partition(":")[0] for why in refused] == [
        "This is no JSON",
        "JSON in braces is wanted",
        "This is no JSON",
        '"ranking" is missing.',
        '"ranking" is to be of the type array.',
        '"sure" is to be of the type boolean.',
    ]


def test_nothing_is_no_reply() -> None:
    refused, said = taken(FREE, "", " \n ", "a")

    assert refused == ["Write something."] * 2
    assert said.text == "a"


def test_who_cant_tell_declines() -> None:
    for request in (CHOICE, SHAPE):
        _, said = taken(request, None)
        assert (said.text, said.finish) == ("", "declined")


def test_where_words_are_wanted_there_is_nothing_to_decline() -> None:
    refused, said = taken(FREE, None, "I don't know.")

    assert refused == ["Write something."]
    assert said.text == "I don't know."


def test_a_question_is_answered_once_and_stays_until_it_is() -> None:
    async def scene(engine: Engine, page: Page) -> None:
        asked = [asyncio.create_task(engine.generate(replace(FREE, seed=i))) for i in range(8)]
        first = await page.question()
        assert (await page.question())["name"] == first["name"]
        await page.reply(first["name"], "one")
        status, found = await page.reply(first["name"], "two")
        assert (status, "already" in found["error"]) == (409, True)
        assert (await page.reply("of another run", "three"))[0] == 409
        for _ in range(7):
            await page.reply((await page.question())["name"], "more")
        words = [said.text for said in await asyncio.gather(*asked)]
        assert sorted(words) == ["more"] * 7 + ["one"]

    at_desk(scene)


def test_several_pages_show_different_questions_until_they_are_left() -> None:
    now = [0.0]
    desk = Desk(lambda: now[0])

    async def scene() -> None:
        asked = [asyncio.create_task(desk.generate(replace(FREE, seed=i))) for i in range(2)]
        await asyncio.sleep(0)
        one, other = desk.next("one"), desk.next("other")
        assert one is not None
        assert other is not None
        assert one is not other
        assert desk.next("third") is None
        now[0] = LEFT_S
        assert desk.next("one") is one  # it is still there, and the other hasn't asked for so long
        now[0] = LEFT_S + 1
        assert desk.next("third") is other
        assert desk.next("other") is None
        for now[0] in range(100, 1100, 50):
            assert desk.next("one") is one
            assert desk.next("third") is other
        assert now[0] - LEFT_S > HELD_S
        assert desk.next("other") in (one, other)  # both pages were left open
        assert desk.take(other.name, "by whoever is first")
        assert desk.take(one.name, "x")
        said = await asyncio.gather(*asked)
        assert {each.latency_s for each in said} == {now[0]}  # since somebody first saw it

    asyncio.run(scene())


def test_what_nobody_waits_for_any_more_is_not_asked() -> None:
    async def scene(engine: Engine, page: Page) -> None:
        asked = asyncio.create_task(engine.generate(FREE))
        name = (await page.question())["name"]
        asked.cancel()
        await asyncio.wait([asked])
        assert (await page.get("question"))[1] == {"waiting": 0, "replies": 0, "question": None}
        assert (await page.reply(name, "late"))[0] == 409

    at_desk(scene)


def test_the_order_of_questions_is_not_that_in_which_they_come() -> None:
    async def scene(engine: Engine, page: Page) -> list[str]:
        requests = [replace(FREE, prompt=(Message("user", str(i)),)) for i in range(20)]
        asked = [asyncio.create_task(engine.generate(one)) for one in requests]
        await asyncio.sleep(0)
        shown: list[str] = []
        for _ in requests:
            question = await page.question()
            shown.append(question["prompt"][0]["content"])
            await page.reply(question["name"], "x")
        await asyncio.gather(*asked)
        return shown

    shown = at_desk(scene)
    assert sorted(shown, key=int) == [str(i) for i in range(20)]
    assert shown != sorted(shown, key=int)


def test_people_speak_for_themselves_alone(tmp_path: Any) -> None:
    async def scene(engine: Engine, page: Page) -> None:
        with pytest.raises(EngineError, match="no weights but their own"):
            await engine.generate(replace(FREE, weights="pupil", version=1))
        with pytest.raises(EngineError, match="can't tell how likely a given reply is"):
            await engine.generate(replace(FREE, choices=("4",)))
        with pytest.raises(EngineError, match="can't load weights"):
            await engine.load(Weights("pupil", 1, tmp_path))
        assert await engine.held() == {}

    at_desk(scene)


def test_people_are_neither_throttled_nor_paid_by_the_token() -> None:
    for setting in ({"limits": {"concurrency": 2}}, {"price": {"tokens_in": 1}}):
        with pytest.raises(ValidationError, match="Extra inputs"):
            Human.model_validate(setting)
    assert Human().deadline_s is None
