"""A server's address: what may be one, where its API is, and the proxy on the way to it."""

import asyncio
import re
from pathlib import Path

import pytest
from fake_endpoint import REQUEST, Fake
from pydantic import ValidationError

from moot.agents.endpoint import Endpoint
from moot.agents.errors import Denied, EngineError, Fault, Refusal
from moot.agents.proxy import proxy_to

KEY = "sk-very-secret"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://host",
        "http://",
        "http://a:b@host",
        "http://host:port",
        "http://host:99999",
        "https://host/v1?key=1",
        "https://host/v1?",
        "https://host/v1/completions",
        "http://ho st",
        "http://[::1",
        "file:///etc/passwd",
        "http://a..b",
        f"http://{'a' * 64}.org",
    ],
)
def test_what_isnt_a_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="url"):
        Endpoint(url=url, model="m")


def test_the_url_says_where_the_api_is() -> None:
    async def ask_at(suffix: str, api: str = "/v1") -> str:
        fake = Fake(at=api)
        runner = await fake.start()
        async with Endpoint(url=fake.url + suffix, model="m").open(Path()) as engine:
            text = (await engine.generate(REQUEST)).text
        await runner.cleanup()
        return text

    assert [asyncio.run(ask_at(suffix)) for suffix in ("", "/", "/v1", "/v1/")] == ["4"] * 4
    below = ("/v1beta/openai", "/api/v3", "/proxy/v1", "/v1/accounts/me/v1")
    assert [asyncio.run(ask_at(path, path)) for path in below] == ["4"] * 4
    assert asyncio.run(ask_at("/vault", "/vault/v1")) == "4"
    assert asyncio.run(ask_at("/bare/chat/completions", "/bare")) == "4"


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("https://far.org/v1", {}, None),
        ("https://far.org/v1", {"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
        ("https://far.org/v1", {"https_proxy": "p:3128"}, "http://p:3128"),
        ("https://far.org/v1", {"ALL_PROXY": "http://p:3128"}, "http://p:3128"),
        ("https://far.org/v1", {"HTTP_PROXY": "http://p:3128"}, None),
        ("http://far.org", {"HTTP_PROXY": "http://p:3128"}, "http://p:3128"),
        ("http://far.org:8000", {"HTTP_PROXY": "http://p", "NO_PROXY": "near.org,far.org"}, None),
        ("http://a.far.org", {"HTTP_PROXY": "http://p", "NO_PROXY": ".far.org"}, None),
        ("http://localhost:8000", {"HTTP_PROXY": "http://p:3128"}, None),
        ("http://127.0.0.1:8000", {"HTTP_PROXY": "http://p:3128"}, None),
        ("http://[::1]:8000", {"HTTP_PROXY": "http://p:3128"}, None),
        ("http://0.0.0.0:8000", {"HTTP_PROXY": "http://p:3128"}, None),
        ("http://10.1.2.3:8000", {"HTTP_PROXY": "http://p", "NO_PROXY": "a.org,10.0.0.0/8"}, None),
        ("http://11.1.2.3:8000", {"HTTP_PROXY": "http://p", "NO_PROXY": "10.0.0.0/8"}, "http://p"),
    ],
)
def test_the_proxy_is_the_environments_but_to_this_machine(
    url: str, environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch, environment)

    assert proxy_to(url) == proxy


@pytest.mark.parametrize(
    ("proxy", "what"),
    [
        ("socks5://me:secret@p:1080", "a socks5 proxy, and only HTTP"),
        ("http://me:secret@[::1", "a proxy that is no URL"),
        ("http://me:secret@p:99999", "a proxy that is no URL"),
        ("me:sec://ret@p:80", "a proxy that is no URL"),
        ("http://me:sec#ret@p:80", "a proxy that is no URL"),
        ("http://me\\you:secret@p:80", "a proxy that is no URL"),
        ("http://me:secret@a..b:1", "a proxy that is no URL"),
        ("http://", "a proxy that is no URL"),
    ],
)
def test_a_proxy_that_cant_be_used_is_told_before_anything_is_asked(
    proxy: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch, {"ALL_PROXY": proxy})

    with pytest.raises(EngineError, match=rf"names {what}.*; NO_PROXY=far\.org:80 ") as caught:
        proxy_to("https://far.org:80/v1")
    assert not {"sec", "me:"} & set(re.findall("sec|me:", str(caught.value)))


@pytest.mark.parametrize("status", [200, 403, 407, 503])
def test_a_proxy_hears_neither_the_key_nor_is_its_password_told(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(f"HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n".encode())
        writer.close()

    async def scene() -> None:
        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        at = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        alone(monkeypatch, {"HTTPS_PROXY": f"http://me:hush@{at}", "FAR_KEY": KEY})
        endpoint = Endpoint(url="https://far.invalid/v1", model="m", key_env="FAR_KEY")
        async with server, endpoint.open(Path()) as engine:
            await engine.generate(REQUEST)

    with pytest.raises(EngineError) as caught:
        asyncio.run(scene())
    assert heard[0].startswith(b"CONNECT far.invalid:443 ")
    assert KEY.encode() not in heard[0]
    assert "hush" not in str(caught.value)
    assert isinstance(caught.value, Fault) == (status in {200, 503})  # 200: then the line broke
    assert not isinstance(caught.value, Denied | Refusal)  # it says nothing of the request


def test_what_is_asked_goes_by_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> tuple[str, str]:
        fake = Fake()
        runner = await fake.start()
        alone(monkeypatch, {"HTTP_PROXY": fake.url})
        async with Endpoint(url="http://far.invalid/v1", model="m").open(Path()) as engine:
            text = (await engine.generate(REQUEST)).text
        await runner.cleanup()
        return text, fake.headers[0]["Host"]

    assert asyncio.run(scene()) == ("4", "far.invalid")


def alone(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """Have these proxies in the environment, and no others."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
