"""Any server that speaks OpenAI's chat completions: it answers, and can't be trained."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from .errors import EngineError
from .types import Completion, Engine, Limits, Request, Settings, Weights

if TYPE_CHECKING:
    from .wire import Wire


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        (parts.hostname or "").encode("idna")  # a label may be too long, or empty
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
        parts = urlsplit("")
    if not sound or any(map(str.isspace, url)):
        raise ValueError("expected a URL like http://localhost:8000 or https://host/v1")
    if "@" in parts.netloc:
        raise ValueError("a URL must not hold a password: name the key's variable in key_env")
    if parts.query or parts.fragment:
        raise ValueError("expected the server's base URL, without '?' or '#'")
    return url


Url = Annotated[str, AfterValidator(_checked)]
"""A server's base URL, with or without a trailing /v1."""


class Endpoint(Settings):
    """A server somewhere that speaks OpenAI's chat completions."""

    kind: Literal["endpoint"] = "endpoint"
    url: Url
    """Its base URL, with or without a trailing /v1."""
    model: str = Field(min_length=1)
    """The server's name for the model."""
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the key; the key itself is written nowhere."""
    limits: Limits = Limits()
    """How hard it may be driven, and how patiently."""

    @property
    def trains(self) -> str | None:
        """Nothing: its weights are not ours."""
        return None

    @property
    def remote(self) -> bool:
        """Yes."""
        return True

    @property
    def repeats(self) -> bool:
        """A server batches, and rounds by the batch."""
        return False

    @asynccontextmanager
    async def open(self, logs: Path) -> AsyncGenerator[Engine]:
        """Give the engine at the other end; it writes no logs."""
        from .wire import connect

        async with connect(self.url, self._key()) as wire:
            yield _Remote(wire, self.model)

    def _key(self) -> str | None:
        if self.key_env is None:
            return None
        key = os.environ.get(self.key_env, "").strip()
        if not key:
            raise EngineError(
                f"{self.url}: the environment variable {self.key_env} is not set; "
                "it should hold the key (key_env names it)"
            )
        if not (key.isascii() and key.isprintable()):
            raise EngineError(
                f"the environment variable {self.key_env} holds no key: odd characters"
            )
        return key


class _Remote:
    """The engine behind an endpoint."""

    def __init__(self, wire: "Wire", model: str) -> None:
        self._wire = wire
        self._model = model

    async def generate(self, request: Request) -> Completion:
        """Return the server's completion; its only version is 0."""
        from .chat import ask

        if request.version:
            raise EngineError(f"{self._wire.root}: an endpoint speaks with no weights but its own")
        completion, _ = await ask(self._wire, self._model, request)
        return completion

    async def load(self, weights: Weights) -> None:
        """Refuse: an endpoint takes no weights."""
        raise EngineError(f"{self._wire.root}: an endpoint can't load weights ('{weights.name}')")

    async def held(self) -> Mapping[str, int]:
        """Return nothing: no weights can be given to it."""
        return {}
