"""The proxy on the way to a server, as the environment names it."""

from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from .errors import EngineError

SOCKS = frozenset({"socks", "socks4", "socks4a", "socks5", "socks5h"})


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
