"""A server's address: what may be one, where its API is, and whether a proxy is on the way."""

import re
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import AfterValidator

from .errors import EngineError

VERSIONED = re.compile(r"/v\d+[a-z]*\d*(/|$)")
"""A part of a URL's path that says which version of an API is there, as /v1beta does."""


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
    if parts.path.rstrip("/").endswith("/completions"):
        raise ValueError("expected the server's base URL, without '/chat/completions'")
    return url


Url = Annotated[str, AfterValidator(_checked)]
"""A server's base URL."""


def api_at(url: str) -> str:
    """Return where a server's API is: at its base URL if that says a version, else at its /v1."""
    url = url.rstrip("/")
    return url if VERSIONED.search(urlsplit(url).path) else f"{url}/v1"


def proxy_to(url: str) -> str | None:
    """Return the proxy on the way to a server, by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.

    There is none on the way to this machine itself, whatever they say.

    Raises:
        EngineError: it isn't an HTTP proxy.
    """
    to = urlsplit(url)
    host, known = to.hostname or "", getproxies()
    proxy = known.get(to.scheme) or known.get("all")
    if not proxy or host == "localhost" or _loopback(host) or proxy_bypass(to.netloc):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        kind = proxy.partition("://")[0]
        raise EngineError(
            f"{url}: the environment names a {kind} proxy, and only HTTP proxies can be used; "
            f"NO_PROXY={host} goes without one"
        )
    return proxy


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
