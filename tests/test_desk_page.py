"""The page of the desk in a real browser: nothing is answered that its reader hasn't seen.

It takes chromium and playwright, which are no part of what `make test` installs: see CONTRIBUTING.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from desk import opened

from moot.agents.human.desk import Desk
from moot.agents.human.human import Human
from moot.agents.types import Message, Request, Sampling

playwright = pytest.importorskip("playwright.async_api")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium isn't installed")

GRACE_S = 0.5


def asked(text: str, *choices: str, shape: str = "") -> Request:
    return Request((Message("user", text),), Sampling(), seed=1, choices=choices, shape=shape)


Scene = Callable[[Desk, Any, str], Awaitable[None]]


def browsed(scene: Scene, **settings: Any) -> None:
    """Play a scene of a desk, a browser, and the address of the desk's page."""

    async def played() -> None:
        async with opened(**settings) as (desk, page), playwright.async_playwright() as p:
            assert isinstance(desk, Desk)
            browser = await p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            try:
                await scene(desk, browser, f"{page.address}#{page.key}")
            finally:
                await browser.close()

    asyncio.run(played())


async def at(browser: Any, address: str) -> Any:
    """Return a page of its own that shows a question, and has for long enough."""
    page = await (await browser.new_context()).new_page()
    await page.goto(address)
    await page.wait_for_selector("#desk:not([hidden])")
    await asyncio.sleep(GRACE_S)
    return page


async def idle(page: Any) -> None:
    await page.wait_for_selector("#idle:not([hidden])")


def test_choices_are_typed_clicked_and_declined() -> None:
    async def scene(desk: Desk, browser: Any, address: str) -> None:
        marks = [str(i) for i in range(1, 11)]
        for do, said in {
            "1 0 Enter": "10",
            "1 Enter": "1",
            "7 Space x 7 Enter": "7",
            "click": "3",
            "decline": "",
        }.items():
            waiting = asyncio.create_task(desk.generate(asked(f"How good? {do}", *marks)))
            page = await at(browser, address)
            if do == "click":
                await page.click(".choice:nth-of-type(3)")
                await page.click("#send")
            elif do == "decline":
                await page.click("#decline")
            else:
                for key in do.split():
                    await page.keyboard.press(key)
            assert (await waiting).text == said
            await idle(page)
            await page.close()

    browsed(scene)


def test_a_choice_is_sent_by_keys_alone() -> None:
    async def scene(desk: Desk, browser: Any, address: str) -> None:
        waiting = asyncio.create_task(desk.generate(asked("Which?", "1", "2")))
        page = await at(browser, address)
        await page.keyboard.press("2")
        await page.focus("#send")
        await page.keyboard.press("Space")
        assert (await waiting).text == "2"

    browsed(scene)


def test_words_are_text_and_json_is_checked() -> None:
    async def scene(desk: Desk, browser: Any, address: str) -> None:
        evil = "<img src=x onerror=document.title='hit'><script>document.title='hit'</script>"
        waiting = asyncio.create_task(desk.generate(asked(evil)))
        page = await at(browser, address)
        assert evil in await page.inner_text("#prompt")
        assert not await page.is_visible("#decline")
        await page.fill("#text", "two\nlines")
        await page.keyboard.press("Control+Enter")
        assert (await waiting).text == "two\nlines"
        await idle(page)
        shape = '{"properties": {"n": {"type": "integer"}}, "required": ["n"]}'
        waiting = asyncio.create_task(desk.generate(asked("JSON?", shape=shape)))
        await page.wait_for_selector("#desk:not([hidden])")
        await asyncio.sleep(GRACE_S)
        await page.fill("#text", "{}")
        await page.click("#send")
        await page.wait_for_selector("#notice:not([hidden])")
        assert await page.inner_text("#notice") == '"n" is missing.'
        assert await page.input_value("#text") == "{}"
        await page.fill("#text", '{"n": 1}')
        await page.click("#send")
        assert (await waiting).text == '{"n": 1}'
        assert "hit" not in await page.title()

    browsed(scene)


def test_a_second_click_answers_no_second_question() -> None:
    async def scene(desk: Desk, browser: Any, address: str) -> None:
        waiting = [asyncio.create_task(desk.generate(asked(f"{i}?", "1", "2"))) for i in range(3)]
        page = await at(browser, address)
        await page.dblclick("#decline")
        await asyncio.sleep(GRACE_S)
        assert desk.replies == 1
        for one in waiting:
            one.cancel()

    browsed(scene)


def test_two_pages_answer_different_questions() -> None:
    async def scene(desk: Desk, browser: Any, address: str) -> None:
        waiting = [asyncio.create_task(desk.generate(asked(f"{i}?", "1", "2"))) for i in range(2)]
        pages = [await at(browser, address) for _ in range(2)]
        seen = [await page.inner_text("#prompt .said") for page in pages]
        assert {*seen} == {"0?", "1?"}
        for page, text in zip(pages, seen, strict=True):
            await page.keyboard.press("1" if text == "0?" else "2")
            await page.keyboard.press("Enter")
        assert [said.text for said in await asyncio.gather(*waiting)] == ["1", "2"]

    browsed(scene)


def test_what_was_answered_elsewhere_stays_on_the_page_until_its_reader_goes_on() -> None:
    async def scene(desk: Desk, browser: Any, address: str) -> None:
        waiting = [asyncio.create_task(desk.generate(asked(f"{i}?"))) for i in range(2)]
        page = await at(browser, address)
        await page.fill("#text", "a long draft")
        first = await page.inner_text("#prompt .said")
        desk.take(await page.evaluate("shown.name"), "somebody else")
        await page.wait_for_selector("#next:not([hidden])")
        await page.keyboard.press("Control+Enter")  # nothing is sent
        await asyncio.sleep(1.2)
        assert await page.inner_text("#prompt .said") == first
        assert await page.input_value("#text") == "a long draft"
        assert "isn't asked any more" in await page.inner_text("#notice")
        assert desk.replies == 1
        await page.click("#next")
        await page.wait_for_selector("#next", state="hidden")
        assert await page.inner_text("#prompt .said") != first
        assert await page.input_value("#text") == ""
        for one in waiting:
            one.cancel()

    browsed(scene)


def test_a_draft_outlives_a_run_that_is_stopped_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("DESK", "correct horse battery")

    async def played() -> None:
        async with playwright.async_playwright() as p:
            browser = await p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            human = Human(key_env="DESK", port=8765)
            async with human.open(tmp_path) as desk:
                waiting = asyncio.create_task(desk.generate(asked("What?")))
                page = await at(browser, "http://127.0.0.1:8765/#correct horse battery")
                await page.fill("#text", "begun")
                waiting.cancel()
            await page.wait_for_selector("text=can't be reached")
            async with human.open(tmp_path) as desk:
                waiting = asyncio.create_task(desk.generate(asked("What?")))
                await page.wait_for_selector("#notice", state="hidden")
                assert await page.input_value("#text") == "begun"
                await page.keyboard.press("Control+Enter")
                assert (await waiting).text == "begun"
            await browser.close()

    asyncio.run(played())


def test_a_wrong_key_is_told_and_another_address_takes_its_place() -> None:
    async def scene(desk: Desk, browser: Any, address: str) -> None:
        waiting = asyncio.create_task(desk.generate(asked("Which?", "1", "2")))
        page = await browser.new_page()
        for wrong in ("#wrong", "#schl%C3%BCssel", "#%D0%BA"):
            await page.goto(address.partition("#")[0] + wrong)
            await page.wait_for_selector("#notice:not([hidden])")
            assert await page.inner_text("#notice") == "The key is another one."
            assert await page.is_visible("#door")
        await page.goto(address)  # but for what is behind the #, it is there already
        await page.wait_for_selector("#desk:not([hidden])")
        waiting.cancel()

    browsed(scene)


def test_a_long_question_is_shown_from_its_beginning() -> None:
    async def scene(desk: Desk, browser: Any, address: str) -> None:
        waiting = asyncio.create_task(desk.generate(asked("line\n" * 300)))
        page = await at(browser, address)
        assert await page.evaluate("scrollY") == 0
        assert await page.evaluate("document.activeElement.id") == "prompt"
        waiting.cancel()

    browsed(scene)
