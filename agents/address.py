"""A server's address: what may be one, and where its API is."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

VERSIONED = re.compile(r"/v\d[\da-z.]*(/|$)", re.IGNORECASE)
"""A part of a URL's path that says which version of an API is there, as /v1beta does."""
CHAT = "/chat/completions"


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
    if parts.path.rstrip("/").endswith("/completions") and not url.rstrip("/").endswith(CHAT):
        raise ValueError("expected the server's base URL, or one that ends in /chat/completions")
    if "?" in url or "#" in url:
        raise ValueError("expected the server's base URL, without '?' or '#'")
    return url


Url = Annotated[str, AfterValidator(_checked)]
"""A server's base URL; with /chat/completions, its API has no version."""


def api_at(url: str) -> str:
    """Return where a server's API is: at its base URL if that says a version, else at its /v1.

    A whole address, which ends in /chat/completions, says it all.
    """
    url = url.rstrip("/")
    if url.endswith(CHAT):
        return url.removesuffix(CHAT)
    return url if VERSIONED.search(urlsplit(url).path) else f"{url}/v1"
