"""Human: people who answer on a page; they judge, criticise or argue as any agent does.

What they read is what a model in their place would, word for word.
"""

import os
import secrets
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from pydantic import Field

from ..engine import Engine, Limits
from ..errors import EngineError
from ..types import Settings

UNBOUNDED = Limits(concurrency=100_000)
"""All that is asked of people waits with them, in no queue before."""
EVERYWHERE = ("0.0.0.0", "::", "")
LEAST = 16
"""So long a key of the user's own must be, in characters."""


class Human(Settings):
    """A person, or several whose replies aren't told apart, at a page that this process serves."""

    kind: Literal["human"] = "human"
    port: int | None = Field(default=None, ge=1, le=65_535)
    """Where the page is served; a free port if left out."""
    host: str = Field(default="127.0.0.1", min_length=1)
    """The address it is served at: by default nobody else's machine can reach it. `0.0.0.0` lets
    others in who know the key, which then travels unencrypted unless a proxy before it sees to
    that."""
    key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the page's key; left out, one is drawn at each start, and
    is part of the address that the run prints."""

    @property
    def limits(self) -> Limits:
        """None that are felt."""
        return UNBOUNDED

    @property
    def price(self) -> None:
        """None: people aren't paid by the token."""
        return

    @property
    def trains(self) -> str | None:
        """Nothing: people learn by themselves."""
        return None

    @property
    def precision(self) -> None:
        """None: there is no model."""
        return

    @property
    def deadline_s(self) -> float | None:
        """None: people take their time."""
        return None

    @property
    def varies(self) -> str:
        """People do."""
        return "answers as people do"

    @asynccontextmanager
    async def open(self, logs: Path, adapters: int = 0) -> AsyncGenerator[Engine]:
        """Serve the page while the context lasts; it writes no logs."""
        from .desk import Desk
        from .door import serve

        key = self._key()
        async with serve(desk := Desk(), self.host, self.port, key) as port:
            host = socket.gethostname() if self.host in EVERYWHERE else self.host
            shown = f"[{host}]" if ":" in host else host
            known = f" (the key is in {self.key_env})" if self.key_env else f"#{key}"
            desk.address = f"http://{shown}:{port}/{known}"
            yield desk

    def _key(self) -> str:
        if self.key_env is None:
            return secrets.token_urlsafe(16)
        key = os.environ.get(self.key_env, "").strip()
        if not key:
            raise EngineError(
                f"the environment variable {self.key_env} is not set; it should hold the key of "
                "the page (key_env names it)"
            )
        if len(key) < LEAST or not (key.isascii() and key.isprintable()):
            raise EngineError(
                f"the environment variable {self.key_env} holds no key for a page: expected "
                f"{LEAST} printable ASCII characters or more"
            )
        return key
