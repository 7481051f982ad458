"""A server's address: what may be one, where its API is, and whether a proxy is on the way."""

import re
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Annotated
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import AfterValidator
from yarl import URL

from .errors import EngineError

VERSIONED = re.compile(r"/v\d[\da-z.]*(/|$)", re.IGNORECASE)
"""A part of a URL's path that says which version of an API is there, as /v1beta does."""
CHAT = "/chat/completions"
SOCKS = frozenset({"socks", "socks4", "socks4a", "socks5", "socks5h"})


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


def proxy_to(url: str) -> str | None:
    """Return the proxy on the way to a server, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

    There is none on the way to localhost, whatever they say.

    Raises:
        EngineError: there is one, and it can't be used.
    """
    to = urlsplit(url)
    host, known = (to.hostname or "").rstrip("."), getproxies()
    proxy = (known.get(to.scheme) or known.get("all") or "").strip()
    if not proxy or host == "localhost" or proxy_bypass(to.netloc) or _near(host, known):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    with suppress(ValueError):
        parts = URL(proxy)  # as aiohttp reads it
        (parts.host or "").encode("idna")
        plain = not {"?", "#"} & {*proxy}
        if parts.scheme in ("http", "https") and parts.host and parts.port != 0 and plain:
            return proxy
    kind = proxy.partition("://")[0]  # of the rest nothing is told: it may hold a password
    what = f"a {kind} proxy, and only HTTP" if kind in SOCKS else "a proxy that is no URL; HTTP"
    raise EngineError(
        f"{url}: the environment names {what} proxies (http://host:port) can be used; "
        f"NO_PROXY={to.netloc} goes without one"
    )


def _near(host: str, known: Mapping[str, str]) -> bool:
    """Return whether a host is a number of this machine, or of a network in NO_PROXY."""
    try:
        number = ip_address(host)
    except ValueError:
        return False
    if number.is_loopback or number.is_unspecified:
        return True
    for entry in known.get("no", "").split(","):
        with suppress(ValueError):
            if number in ip_network(entry.strip(), strict=False):
                return True
    return False
