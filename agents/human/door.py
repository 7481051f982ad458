"""The door: the desk's page, and what the page asks for, over HTTP.

Who knows the key may read and answer.  It stands behind the `#` of the address, which browsers send
to nobody, and comes back as a header, which no page of another's can have them send.
"""

import asyncio
import hmac
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from ..errors import EngineError
from .desk import Desk
from .fitting import Unfit

PAGES = Path(__file__).parent / "pages"
OPEN = {"/": "desk.html", "/desk.css": "desk.css", "/desk.js": "desk.js"}
"""What anybody may have: it holds nothing of the run."""
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
LARGEST = 2**20
"""The bytes of a reply, with what is around it."""
SETTLED = 16
"""So many turns of the event loop after a reply the journal has it: it takes four or so."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Replied(BaseModel):
    """What the page sends."""

    model_config = ConfigDict(strict=True, extra="forbid")

    page: str
    """Which page sends it."""
    question: str
    text: str | None
    """`None`: whoever was asked declines."""


@asynccontextmanager
async def serve(desk: Desk, host: str, port: int | None, key: str) -> AsyncGenerator[int]:
    """Serve the page, and yield the port.

    Raises:
        EngineError: it can't be served there.
    """

    async def page(request: web.Request) -> web.Response:
        file = PAGES / OPEN[request.path]
        return web.Response(
            body=file.read_bytes(), content_type=TYPES[file.suffix], charset="utf-8"
        )

    async def asked(request: web.Request) -> web.Response:
        return web.json_response(_shown(desk, request.query.get("page", "")))

    async def replied(request: web.Request) -> web.Response:
        try:
            found = Replied.model_validate_json(await request.read())
            wanted = desk.take(found.question, found.text)
        except ValidationError:
            return _wrong(400, "The page sent something else than a reply; reload it.")
        except Unfit as error:
            return _wrong(422, str(error))
        if not wanted:
            return _wrong(409, "This was answered already, or nobody waits for it any more.")
        for _ in range(SETTLED):  # a person's words can't be had again: first they are written down
            await asyncio.sleep(0)
        return web.json_response(_shown(desk, found.page))

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        response: web.StreamResponse
        if request.path not in OPEN and not hmac.compare_digest(given, f"Bearer {key}".encode()):
            response = _wrong(401, "The key is another one.")
        else:
            try:
                response = await handler(request)
            except web.HTTPRequestEntityTooLarge:
                response = _wrong(413, f"More than {LARGEST} bytes are too much.")
            except web.HTTPException as error:
                response = _wrong(error.status, error.reason)
        response.headers.update(HEADERS)
        return response

    app = web.Application(middlewares=[guarded], client_max_size=LARGEST)
    app.add_routes([web.get(path, page) for path in OPEN])
    app.add_routes([web.get("/question", asked), web.post("/reply", replied)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port or 0)
        try:
            await site.start()
        except OSError as error:
            raise EngineError(
                f"no page can be served at {host}:{port or 0}: {error.strerror}; "
                "choose another `host` or `port`"
            ) from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _shown(desk: Desk, page: str) -> dict[str, Any]:
    """Return what a page shows."""
    found = desk.next(page)
    known: dict[str, Any] = {"waiting": desk.waiting, "replies": desk.replies, "question": None}
    if found is not None:
        asked = found.request
        known["question"] = {
            "name": found.name,
            "prompt": [{"role": m.role, "content": m.content} for m in asked.prompt],
            "choices": asked.choices,
            "shape": asked.shape,
            "may_be_declined": found.may_be_declined,
        }
    return known


def _wrong(status: int, why: str) -> web.Response:
    return web.json_response({"error": why}, status=status)
