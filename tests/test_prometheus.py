"""What is spent, served to Prometheus while a run lasts."""

import asyncio
import re
import socket
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from aiohttp import web
from command import moot
from fake_endpoint import Fake, Mood, reply, says, serving
from priced import write

from moot.agents.errors import MootError
from moot.experiments.prometheus import serving as scraped
from moot.protocols.ledger import Ledger


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def read(port: int, calls: int = 0) -> str:
    """Return the page, once it tells of so many calls of the talk, at the latest after a while.

    What was answered last may still be on its way into the journal.
    """
    page = ""
    for _ in range(100):
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            page = answer.read().decode()
        if talked(page) >= calls:
            break
        time.sleep(0.1)
    return page


def talked(page: str) -> float:
    """Return how many calls of the talk are told."""
    calls = r'^moot_calls_total{.*engine="main",phase="cycle-000".*} (\S+)$'
    return sum(map(float, re.findall(calls, page, re.MULTILINE)))


def test_prometheus_may_ask_while_the_run_lasts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port, pages = free_port(), list[str]()

    def scrapes(then: Mood) -> Mood:
        async def mood(request: web.Request) -> web.StreamResponse:
            pages.append(await asyncio.to_thread(read, port, 2))
            return await then(request)

        return mood

    #  One at a time: six of the evaluation, and the talk's third is under way.
    fake = Fake(moods=[*[says(reply())] * 8, scrapes(says(reply()))])
    with serving(fake):
        path = write(tmp_path, fake)
        assert moot("run", path, "--out", tmp_path / "out", "--metrics", str(port)) == 0

    [page] = pages
    labels = (
        'agent="solver-0",engine="main",phase="held-out-000",protocol="consensus",role="policy"'
    )
    assert re.search(rf"^moot_calls_total{{{labels}}} 3\.0$", page, re.MULTILINE)
    assert re.search(rf"^moot_tokens_in_total{{{labels}}} 33\.0$", page, re.MULTILINE)
    assert re.search(rf"^moot_cost_total{{{labels}}} 0\.0045", page, re.MULTILINE)
    assert talked(page) == 2
    assert "python_info" not in page
    assert f"metrics: http://127.0.0.1:{port}/metrics" in capsys.readouterr().out
    with pytest.raises(OSError, match="refused"):
        read(port)


def test_a_port_that_is_taken_and_a_package_that_is_missing_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, Fake(port=1))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert moot("run", path, "--out", tmp_path / "out", "--metrics", port) == 2
    assert f"--metrics {port}: Address already in use; choose another" in capsys.readouterr().err

    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with (
        pytest.raises(MootError, match=r"needs prometheus_client: `pip install 'moot\[metrics\]'`"),
        scraped(0, Ledger(), print),
    ):
        raise AssertionError
