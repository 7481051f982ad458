"""JSON over HTTP to one server, with faults that may pass told from errors that won't."""

import re
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson

from .address import api_at
from .errors import Denied, EngineError, Fault, Forbidden, Missing, Overload, Refusal
from .proxy import proxy_to

PASSING = frozenset({408, 409, 425, 429})
"""Statuses below 500 that another try may cure."""
FULL = frozenset({429, 503})
"""Statuses of a server that was asked too much at once."""
SPENT = "insufficient_quota"
"""What OpenAI calls it, with status 429, where no money is left: no wait helps."""
REFUSING = frozenset({400, 413, 422})
"""Statuses that find fault with the one request, as a prompt that is too long."""


@asynccontextmanager
async def connect(url: str, key: str | None = None) -> "AsyncGenerator[Wire]":
    """Give a pool of connections to the server at `url`; `key` goes to it in a header.

    A proxy on the way reads all, but where `url` is https.
    """
    lines, told = _Lines(), aiohttp.TraceConfig()
    told.on_connection_create_end.append(lines)
    async with aiohttp.ClientSession(
        # How many are under way, and how long they may take, is the gate's business.  Uvicorn,
        # and so vLLM, drops lines that were idle for 5 s: none that old is used again.
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4),
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=[told],
        proxy=proxy_to(url),
    ) as session:
        yield Wire(session, api_at(url), key, lines)


@dataclass(slots=True)
class _Lines:
    """How many connections were made."""

    made: int = 0

    async def __call__(self, *_: object) -> None:
        """Count one more."""
        self.made += 1


class Wire:
    """A line to one server."""

    def __init__(
        self, session: aiohttp.ClientSession, api: str, key: str | None, lines: _Lines
    ) -> None:
        self.root = api.removesuffix("/v1")
        """The server's address, without `/v1` at the end."""
        self._api = api
        self._session = session
        self._key = key
        # Not the session's, which aiohttp sends to a proxy, too.
        self._headers = {"Content-Type": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"
        self._lines = lines

    @property
    def lines(self) -> int:
        """How many connections were made so far; who answers on a new one may be another."""
        return self._lines.made

    async def get(self, path: str) -> bytes:
        """Return what the server says at `path`; /v1/... is the API, at whatever version it is."""
        return await self._send("GET", path, None, ())

    async def post(self, path: str, body: Any, hopeless: Collection[int] = ()) -> bytes:
        """Return the server's answer to `body`; a status in `hopeless` won't pass here."""
        return await self._send("POST", path, orjson.dumps(body), hopeless)

    async def order(self, path: str, body: Any) -> bytes:
        """Return the answer to an order that a server either can follow or never will.

        vLLM answers 500 both for what it can't do and when its engine is dead; its health tells
        the one from the other, and the latter may pass.
        """
        try:
            return await self.post(path, body, hopeless=(500,))
        except Fault:
            raise
        except EngineError as error:
            try:
                await self.get("/health")
            except Missing:
                pass
            except Fault:
                raise Fault(str(error)) from None
            raise

    async def _send(
        self, method: str, path: str, data: bytes | None, hopeless: Collection[int]
    ) -> bytes:
        of_api = path.startswith("/v1/")
        url = self._api + path.removeprefix("/v1") if of_api else self.root + path
        try:
            # A redirect would turn a POST into a GET, or carry the key to another server.
            async with self._session.request(
                method, url, data=data, headers=self._headers, allow_redirects=False
            ) as it:
                answer = await it.read()
        except aiohttp.ClientHttpProxyError as error:  # in whole it has the proxy's password
            said = f"the proxy says HTTP {error.status}: {self._line(error.message)}"
            kind = Fault if passing(error.status) else EngineError
            raise kind(f"{url}: {said}") from None
        except aiohttp.ClientSSLError as error:
            kind = Fault if "INTERNAL_ERROR" in str(error) else EngineError  # an alert of theirs
            raise kind(f"{url}: {self._line(str(error))}") from None
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            reason = self._line(str(error) or type(error).__name__)
            raise Fault(f"{url}: {reason}") from None
        if it.status == 200:
            return answer
        message = f"{url}: HTTP {it.status}: {self._line(_reason(answer) or it.reason or '')}"
        if it.status in hopeless or SPENT in _codes(answer):
            raise EngineError(message)
        raise failure(it.status, message, _seconds(it.headers.get("Retry-After")))

    def inside(self, answer: bytes) -> EngineError | None:
        """Return the error that a 200 holds, as those of servers before others may; or `None`."""
        try:
            error = orjson.loads(answer)["error"]
        except (ValueError, KeyError, TypeError):
            return None
        if not error:
            return None
        code = error.get("code") if isinstance(error, dict) else None
        status = code if isinstance(code, int) and 400 <= code < 600 else 500
        return failure(status, f"{self.root}: HTTP 200: {self._line(_reason(answer))}")

    def _line(self, text: str) -> str:
        """Return `text` as one line of bounded length, without the key if a server echoed it."""
        if self._key:
            text = text.replace(self._key, "[key]")
        text = " ".join(text.split())
        return text if len(text) <= 300 else text[:299] + "…"


def passing(status: int) -> bool:
    """Return whether another try may cure what an HTTP status stands for."""
    return status in PASSING or (status >= 500 and status != 501)


def failure(status: int, message: str, retry_after: float | None = None) -> EngineError:
    """Return the error that an HTTP status stands for."""
    if passing(status):
        return (Overload if status in FULL else Fault)(message, retry_after)
    if status == 404:
        return Missing(message)
    if status in (401, 403):
        return (Denied if status == 401 else Forbidden)(message)
    return (Refusal if status in REFUSING else EngineError)(message)


def _codes(answer: bytes) -> set[str]:
    """Return by which words a server says what kind of error its answer is."""
    try:
        error = orjson.loads(answer)["error"]
        return {str(error.get("code")), str(error.get("type"))}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()


def _reason(answer: bytes) -> str:
    """Return what the server says is wrong; empty where it says nothing a person can read."""
    try:
        said = orjson.loads(answer)
    except orjson.JSONDecodeError:
        text = answer.decode(errors="replace").strip()
        return "" if text.startswith("<") else text
    for name in ("error", "message", "detail"):
        if isinstance(said, dict) and said.get(name):
            said = said[name]
    return said if isinstance(said, str) else orjson.dumps(said).decode()


def _seconds(retry_after: str | None) -> float | None:
    """Return a Retry-After header, which is a number of seconds or a date, in seconds from now."""
    if retry_after is None:
        return None
    if re.fullmatch(r"\s*\d+(\.\d+)?\s*", retry_after):
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
