"""Engines of a run are opened for the adapters that learn on them."""

import asyncio
from contextlib import AsyncExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from standing_in import Site, found, heard, request
from wrong import GOOD

from moot.experiments.cycle.engines import opened
from moot.experiments.experiment import Experiment
from moot.experiments.progress import Show
from moot.experiments.yaml.source import parse

ROOM = ("--max-loras", "--max-cpu-loras")
ENGINES = """\
engines:
  main: {kind: vllm, model: MODEL}
  bench: {kind: vllm, model: MODEL}
population:
  - {name: solver, count: 5, engine: main, learns: true, adapters: each}
  - {name: pupil, count: 3, engine: main, learns: true}
  - {name: guest, count: 2, engine: main}
  - {name: judge, role: judge, engine: bench}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return found(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("fit", "room"),
    [
        ({}, {"main": ["6", "6"], "bench": []}),  # one each, and one that three share
        ({"lora": None}, {"main": [], "bench": []}),
    ],
)
def test_a_server_has_room_for_adapters_only_where_they_learn(
    site: Site, fit: dict[str, Any], room: dict[str, list[str]]
) -> None:
    text = GOOD.replace(GOOD[GOOD.index("engines:") : GOOD.index("tasks:")], ENGINES)
    data = parse(text.replace("MODEL", str(site.folder / "model")), "x.yaml").data
    experiment = Experiment.model_validate({**data, "cycles": 0, "fit": fit})

    async def scene() -> dict[str, list[str]]:
        async with AsyncExitStack() as stack:
            engines = await opened(experiment, site.folder, Show(), stack)
            said = {name: await one.generate(request("hello")) for name, one in engines.items()}
        told = {name: heard(one)["arguments"] for name, one in said.items()}
        return {
            name: [after for word, after in pairwise(words) if word in ROOM]
            for name, words in told.items()
        }

    assert asyncio.run(scene()) == room
