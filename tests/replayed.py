"""What lies in the directories of runs and their replays."""

import sqlite3
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from aiohttp import web
from command import moot
from fake_endpoint import Fake, choice, refuses, reply, says, serving

FAR = """\
name: far
seed: 2
cycles: 1
engines:
  main: {{kind: endpoint, url: "{url}", model: m, limits: {{patience_s: 0.1}}}}
population:
  - {{name: solver, count: 4}}
tasks:
  kind: inline
  verifier: number
  held_out: 2
  per_cycle: 3
  items: [{items}]
protocol: {{kind: debate, topology: {{kind: chain}}, rounds: 3}}
evaluation: {{samples: 1}}
"""
ITEMS = ", ".join(f"{{prompt: '{i} + 1?', answer: {i + 1}}}" for i in range(9))


async def chance(request: web.Request) -> web.StreamResponse:
    """Answer with a number that the request decides, and hardly two alike."""
    number = int.from_bytes(sha256(await request.read()).digest()[:4])
    said = choice(message={"role": "assistant", "content": f"It is {number}"})
    return await says(reply(choices=[said]))(request)


def talkative(after: int = 0) -> Fake:
    """A server that says numbers; after so many of them, nothing any more."""
    return Fake([chance] * (after or 10_000) + [refuses(500)] * (10_000 if after else 0))


def write(folder: Path, fake: Fake) -> Path:
    path = folder / "x.yaml"
    path.write_text(FAR.format(url=fake.url, items=ITEMS))
    return path


def played(folder: Path) -> Path:
    """Return the directory of a run in `folder`, whose server is gone."""
    fake = talkative()
    with serving(fake):
        assert moot("run", write(folder, fake), "--out", folder / "out") == 0
    return folder / "out"


def contents(out: Path, *kinds: str) -> dict[str, bytes]:
    """Return the files of a directory, by name."""
    paths = [path for kind in kinds or ("*",) for path in sorted(out.rglob(kind))]
    return {str(path.relative_to(out)): path.read_bytes() for path in paths if path.is_file()}


def rows(out: Path, name: str = "turns.parquet") -> list[dict[str, Any]]:
    """Return the rows of all tables of this name, times apart."""
    found = [pq.read_table(path).to_pylist() for path in sorted(out.rglob(name))]
    return [{**row, "latency_s": 0, "ended_s": 0} for table in found for row in table]


def said(out: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(out / "journal.sqlite")) as db:
        return db.execute("select * from said order by episode, turn, request").fetchall()
