"""The door of the desk: who is let in, where it stands, and what is refused there."""

import asyncio
import socket
from typing import Any

import pytest
from aiohttp import ClientSession
from desk import FREE, Page, at_desk

from moot.agents.engine import Engine
from moot.agents.errors import EngineError
from moot.agents.human.door import LARGEST

WRONG_KEY = 401


def test_who_doesnt_know_the_key_learns_and_changes_nothing() -> None:
    async def scene(engine: Engine, page: Page) -> None:
        asked = asyncio.create_task(engine.generate(FREE))
        name, key = (await page.question())["name"], page.key
        for wrong in ("", key[:-1], f"{key}x", "ü", "\udcfc"):  # the last is one byte, no UTF-8
            page.key = wrong
            assert (await page.get("question"))[0] == WRONG_KEY
            assert (await page.reply(name, "mine"))[0] == WRONG_KEY
            assert (await page.get("elsewhere"))[0] == WRONG_KEY
        page.key = key
        await page.reply(name, "yours")
        assert (await asked).text == "yours"

    at_desk(scene)


def test_the_page_loads_nothing_from_elsewhere_and_holds_nothing_of_the_run() -> None:
    async def scene(engine: Engine, page: Page) -> None:
        asked = asyncio.create_task(engine.generate(FREE))
        async with ClientSession() as session:
            for path, kind in (("", "html"), ("desk.js", "javascript"), ("desk.css", "css")):
                async with session.get(page.address + path) as found:
                    assert found.status == 200
                    assert found.content_type == f"text/{kind}"
                    assert "default-src 'none'" in found.headers["Content-Security-Policy"]
                    assert found.headers["Cache-Control"] == "no-store"
                    text = await found.text()
                    assert "://" not in text
                    assert "innerHTML" not in text
                    assert "Anna" not in text
        asked.cancel()

    at_desk(scene)


@pytest.mark.parametrize(
    "sent",
    [b"", b"{}", b"[", b'{"page": "", "question": 1, "text": "x"}', b'{"text": "\xff"}'],
)
def test_what_is_no_reply_is_refused(sent: bytes) -> None:
    async def scene(engine: Engine, page: Page) -> tuple[int, Any]:
        return await page.post(sent)

    status, found = at_desk(scene)
    assert (status, found) == (
        400,
        {"error": "The page sent something else than a reply; reload it."},
    )


def test_what_is_too_long_or_elsewhere_is_told_as_anything_is() -> None:
    async def scene(engine: Engine, page: Page) -> None:
        status, found = await page.post(b"x" * (LARGEST + 1))
        assert (status, found) == (413, {"error": f"More than {LARGEST} bytes are too much."})
        assert await page.get("elsewhere") == (404, {"error": "Not Found"})

    at_desk(scene)


def test_a_key_of_ones_own_is_in_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK", "correct horse battery")

    async def scene(engine: Engine, page: Page) -> None:
        assert page.address.endswith("/ (the key is in DESK)")
        page.address, page.key = page.address.partition(" ")[0], "correct horse battery"
        assert (await page.get("question"))[0] == 200

    at_desk(scene, key_env="DESK")


@pytest.mark.parametrize(
    ("key", "error"), [("", "DESK is not set"), ("short", "16 printable"), ("ü" * 16, "printable")]
)
def test_a_key_is_long_enough(key: str, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK", key)

    with pytest.raises(EngineError, match=error):
        at_desk(lambda engine, page: page.question(), key_env="DESK")


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=f"no page can be served at 127.0.0.1:{port}: .*port"):
            at_desk(lambda engine, page: page.question(), port=port)


def test_a_host_that_isnt_here_is_named() -> None:
    with pytest.raises(EngineError, match=r"no page can be served at 192\.0\.2\.1:.*`host`"):
        at_desk(lambda engine, page: page.question(), host="192.0.2.1")
    with pytest.raises(EngineError, match=r"no page can be served at nowhere\.invalid:"):
        at_desk(lambda engine, page: page.question(), host="nowhere.invalid")


def test_others_are_told_this_machines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(engine: Engine, page: Page) -> str:
        return page.address

    assert f"//{socket.gethostname()}:" in at_desk(scene, host="0.0.0.0")
