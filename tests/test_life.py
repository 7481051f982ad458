"""Whether a server lives, works or hangs, as its own counters tell."""

import asyncio
from itertools import count
from typing import Any, cast

import pytest

from moot.agents.errors import Fault, TimedOut
from moot.agents.serving.life import Endurance, Life
from moot.agents.wire import Wire

NAMES = (
    "prompt_tokens_total",
    "generation_tokens_total",
    "num_requests_running",
    "num_requests_waiting",
    "num_preemptions_total",
    "e2e_request_latency_seconds_count",
    "e2e_request_latency_seconds_sum",
)


class Line:
    """A line to a server whose counters move as long as it works."""

    root = "http://somewhere"

    def __init__(self) -> None:
        self.works = True
        self._tokens = count()
        self._done = 0

    async def get(self, path: str) -> bytes:
        assert path == "/metrics"
        self._done = next(self._tokens) if self.works else self._done
        return "\n".join(f'vllm:{name}{{engine="0"}} {self._done}.0' for name in NAMES).encode()


async def settled() -> None:
    """Nothing is to be brought anywhere."""


def test_another_s_server_that_works_again_after_it_hung_is_overloaded_again() -> None:
    async def scene() -> list[type[Fault]]:
        line, found = Line(), list[type[Fault]]()
        life = Life(cast(Wire, line), None, Endurance(1.0, timeout_s=0.02), settled)
        for works in (True, False, True):
            line.works = works
            await asyncio.sleep(0)
            with pytest.raises(Fault, match=r"no answer within 0\.02 s") as end:
                await life.timed(asyncio.sleep(60))
            found.append(end.type)
        return found

    kinds: list[Any] = [TimedOut, Fault, TimedOut]
    assert asyncio.run(scene()) == kinds
