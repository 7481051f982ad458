"""Influence: who heard whom, as a file for other tools; who adopted whose answers, in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import networkx as nx

from moot.agents.errors import InputError, MootError

from .analysis.graph import COLUMNS, by_agent, by_turn
from .analysis.interaction import adoption
from .export import checked
from .files.columns import EDGES
from .files.table import whole, write
from .report.findings import adopted
from .report.readings import Readings
from .report.words import count

LEVELS = ("agents", "turns")
FORMATS = ("graphml", "gexf", "json", "parquet")
NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML has no place for, and an answer may hold."""
MOST = 20
"""So many of the pairs that adopted most are told of."""


def influence(readings: Readings, level: str, form: str, to: Path | None = None) -> list[str]:
    """Write who heard whom in all talk of a run to a file, and return what there is to say of it.

    Args:
        readings: of the run.
        level: one of `LEVELS`.
        form: one of `FORMATS`; `parquet` holds the edges.
        to: the file; beside the run's others where it is left out.

    Raises:
        MootError: there is no such level or form, nobody has spoken, or it can't be written there.
    """
    for option, given, known in (("level", level, LEVELS), ("format", form, FORMATS)):
        if given not in known:
            raise InputError(f"--{option}: expected {' or '.join(known)}, got '{given}'")
    path = to or readings.path / f"graph-{level}.{form}"
    checked(path, f".{form}")
    agents = by_agent(readings.turns(COLUMNS))
    if not len(agents):
        raise MootError(f"{readings.path}: nobody has spoken in a complete cycle")
    found = agents if level == "agents" else by_turn(readings.turns(COLUMNS))
    if form == "parquet":
        ends = ({"speaker": a, "listener": b, **seen} for a, b, seen in found.edges(data=True))
        write(path, EDGES[level], ends)
    else:
        with whole(path) as beside:
            _written(found, form, beside)
    said = adopted(adoption(readings.turns(COLUMNS), readings.seed))
    return [*_pairs(agents), said, f"graph: {path}"]


def _written(graph: nx.DiGraph[str], form: str, path: Path) -> None:
    """Write a graph in any form but Parquet."""
    if form == "json":
        data = nx.node_link_data(graph, edges="edges")
        path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        return
    for _, seen in graph.nodes(data=True):
        seen.update({k: NO_XML.sub("\ufffd", v) for k, v in seen.items() if isinstance(v, str)})
    (nx.write_graphml if form == "graphml" else nx.write_gexf)(graph, path)


def _pairs(agents: nx.DiGraph[str]) -> Iterator[str]:
    """Yield a line for each pair of whom one heard an unlike answer, who adopted most first."""
    met = [(a, b, seen) for a, b, seen in agents.edges(data=True) if seen["differed"]]
    met.sort(key=lambda edge: (-edge[2]["adopted"], -edge[2]["differed"], edge[:2]))
    names = [f"{speaker} → {listener}" for speaker, listener, _ in met[:MOST]]
    wide = max((len(name) for name in names), default=0)
    for name, (_, _, seen) in zip(names, met, strict=False):
        yield (
            f"{name:{wide}}  unlike answers heard {seen['differed']}, adopted {seen['adopted']}"
            f" (corrected {seen['corrected']}, corrupted {seen['corrupted']})"
        )
    if len(met) > MOST:
        yield f"and {count(len(met) - MOST, 'pair')} more, in the file by agents"
