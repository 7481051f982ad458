"""Influence: who heard whom, as a file for other tools; who adopted whose answers, in words."""

from __future__ import annotations

import json
import re
from pathlib import Path

import networkx as nx

from moot.agents.errors import InputError, MootError

from .columns import EDGES
from .export import checked
from .interaction import COLUMNS, adoption, by_agent, by_turn
from .report.readings import Readings
from .report.words import count, measured, signed
from .stats import Interval
from .table import whole, write

LEVELS = {"agents": by_agent, "turns": by_turn}
FORMATS = ("graphml", "gexf", "json", "parquet")
NO_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML has no place for, and an answer may hold."""
MOST = 20
"""So many of the pairs that adopted most are told of."""


def graph(readings: Readings, level: str) -> nx.DiGraph[str]:
    """Return who heard whom in all the talk of a run, by agents or by turns."""
    return LEVELS[level](readings.turns(COLUMNS))


def save(readings: Readings, level: str, form: str, to: Path | None = None) -> Path:
    """Write the graph to the file `to`, else beside the run's other files; return where.

    Raises:
        MootError: there is no such level or form, nobody has spoken, or it can't be written there.
    """
    for option, given, known in (("level", level, [*LEVELS]), ("format", form, FORMATS)):
        if given not in known:
            raise InputError(f"--{option}: expected {' or '.join(known)}, got '{given}'")
    path = to or readings.path / f"graph-{level}.{form}"
    checked(path)
    found = graph(readings, level)
    if not len(found):
        raise MootError(f"{readings.path}: nobody has spoken in a complete cycle yet")
    if form == "parquet":
        ends = ({"speaker": a, "listener": b, **seen} for a, b, seen in found.edges(data=True))
        write(path, EDGES[level], ends)
        return path
    with whole(path) as beside:
        if form == "json":
            data = nx.node_link_data(found, edges="edges")
            beside.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
            return path
        for _, seen in found.nodes(data=True):
            seen.update({k: NO_XML.sub("\ufffd", v) for k, v in seen.items() if isinstance(v, str)})
        (nx.write_graphml if form == "graphml" else nx.write_gexf)(found, beside)
    return path


def told(readings: Readings) -> list[str]:
    """Return who heard whom in a run and adopted what, for a terminal."""
    edges = graph(readings, "agents").edges(data=True)
    met = [(a, b, seen) for a, b, seen in edges if seen["differed"]]
    met.sort(key=lambda edge: (-edge[2]["adopted"], -edge[2]["differed"], edge[:2]))
    names = [f"{speaker} → {listener}" for speaker, listener, _ in met[:MOST]]
    wide = max((len(name) for name in names), default=0)
    lines = [
        f"{name:{wide}}  unlike answers heard {seen['differed']}, adopted {seen['adopted']}"
        f" (corrected {seen['corrected']}, corrupted {seen['corrupted']})"
        for name, (_, _, seen) in zip(names, met, strict=False)
    ]
    if len(met) > MOST:
        lines.append(f"and {count(len(met) - MOST, 'pair')} more, in the file")
    return [*lines, in_words(adoption(readings.turns(COLUMNS), readings.seed))]


def in_words(adopted: dict[str, Interval]) -> str:
    """Return how much of what policies heard they adopted, in a sentence or two."""
    if "heard" not in adopted:
        return "No policy that had answered heard an unlike answer."
    said = f"Of the unlike answers that they heard, policies adopted {measured(adopted['heard'])}"
    if "over" not in adopted:
        return (
            f"{said}. They missed none, so this talk can't tell how often they would have come "
            "to the same by themselves; `controls/reflection` says what they do alone."
        )
    over = signed(adopted["over"])
    return f"{said}; of those that they missed {measured(adopted['unheard'])}: {over} more."
