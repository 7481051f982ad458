"""A run's calls as OpenTelemetry spans: a trace an episode, a span a turn, links to what was heard.

The file is OTLP/JSON in lines, as OpenTelemetry's file exporter writes it: each line is one
ExportTraceServiceRequest that can be posted to a collector's /v1/traces as it lies.  Attributes
follow the semantic conventions for generative AI where these have a word, and are called moot.*
elsewhere.  What agents said is left out: it is in turns.parquet.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from moot.agents.errors import MootError

from .export import checked
from .files.table import whole
from .report.readings import Readings, Row, read, rows, trouble

BATCH = 512
"""Spans on a line, and those that the last episode has more."""
INTERNAL, CLIENT = 1, 3
"""Kinds of spans: what happens here, and what is asked of another."""
COLUMNS = [
    "cycle",
    "episode",
    "task",
    "turn",
    "round",
    "agent",
    "group",
    "role",
    "engine",
    "weights",
    "weights_version",
    "heard",
    "tokens_in",
    "tokens_out",
    "latency_s",
    "finish",
    "tokens_cached",
    "tries",
    "ended_s",
]
"""What spans tell of turns."""

Span = dict[str, Any]


def export(run: Path, to: Path) -> int:
    """Write the spans of all complete phases of `run` to the file `to`; return how many.

    Raises:
        MootError: there is none, `run` isn't a run's directory, or `to` is no place for them.
    """
    checked(to, ".json", ".jsonl")
    readings = read(run)
    trace = Trace(readings)
    n = 0
    with whole(to) as beside, beside.open("wb") as file:
        for batch in batches(trace.spans()):
            file.write(orjson.dumps(trace.request(batch)) + b"\n")
            n += len(batch)
        if not n:
            raise MootError(f"{run}: no phase is complete yet: nothing is written")
    return n


def batches(episodes: Iterable[Sequence[Span]]) -> Iterator[list[Span]]:
    """Yield the spans of some episodes at a time, and never a part of one."""
    due: list[Span] = []
    for spans in episodes:
        due += spans
        if len(due) >= BATCH:
            yield due
            due = []
    if due:
        yield due


WIN_RATES = "win-rate-*"
"""The folders in which judges compare what was said elsewhere."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What makes spans of the turns of a run."""

    run: Readings

    def spans(self) -> Iterator[list[Span]]:
        """Yield each episode's spans, that of the whole episode first."""
        for folder in sorted(path.parent for path in self.run.path.glob("*/turns.parquet")):
            files = [folder / "turns.parquet", folder / "episodes.parquet"]
            if not all(file.is_file() and trouble(file) is None for file in files):
                continue
            #  Both are written an episode at a time, in the same order.
            ends = rows(files[1], ["episode", "protocol", "correct"])
            for episode, said in groupby(rows(files[0], COLUMNS), lambda turn: turn["episode"]):
                end = next(end for end in ends if end["episode"] == episode)
                turns = sorted(said, key=lambda turn: turn["turn"])
                # What a win rate compares was said before, and is in the spans of that.
                turns = [t for t in turns if t["role"] == "judge" or not folder.match(WIN_RATES)]
                if turns:
                    yield list(self.episode(folder.name, end, turns))

    def episode(self, phase: str, end: Row, turns: Sequence[Row]) -> Iterator[Span]:
        """Yield the span of an episode, and those of its turns."""
        # The same episode of another run is another trace: it was at another time, or is a replay.
        replay = (self.run.experiment.get("made_with") or {}).get("replay")
        name, began = self.run.experiment.get("name"), turns[0]["ended_s"]
        trace = _hash(16, name, end["episode"], began, replay)
        root = _hash(8, trace)
        times = [(_start(turn), _nanoseconds(turn["ended_s"])) for turn in turns]
        known = [time for time in times if time[1]] or times
        first = min(start for start, _ in known)
        # A turn without a time, as one that `--change` put in, stands at the episode's beginning.
        times = [time if time[1] else (first, first) for time in times]
        yield {
            "traceId": trace,
            "spanId": root,
            "name": f"invoke_workflow {end['protocol']}",
            "kind": INTERNAL,
            "startTimeUnixNano": str(first),
            "endTimeUnixNano": str(max(ended for _, ended in known)),
            "attributes": attributes(
                {
                    "gen_ai.operation.name": "invoke_workflow",
                    "gen_ai.workflow.name": end["protocol"],
                    "gen_ai.conversation.id": end["episode"],
                    "moot.phase": phase,
                    "moot.cycle": turns[0]["cycle"],
                    "moot.task": turns[0]["task"],
                    "moot.correct": end["correct"],
                }
            ),
        }
        for turn, (start, ended) in zip(turns, times, strict=True):
            yield {
                "traceId": trace,
                "spanId": _hash(8, trace, turn["turn"]),
                "parentSpanId": root,
                "name": f"chat {self._model(turn)}",
                "kind": CLIENT,
                "startTimeUnixNano": str(start),
                "endTimeUnixNano": str(ended),
                "attributes": attributes(self._told(phase, turn)),
                "links": [
                    {"traceId": trace, "spanId": _hash(8, trace, i)} for i in turn["heard"] or ()
                ],
            }

    def request(self, spans: Sequence[Span]) -> dict[str, Any]:
        """Return what a collector is sent: these spans, and whose they are."""
        experiment = self.run.experiment
        moot = (experiment.get("made_with") or {}).get("moot")
        made = {
            "service.name": "moot",
            "service.version": moot,
            "moot.experiment": experiment.get("name"),
            "moot.seed": self.run.seed,
        }
        scope = {"name": "moot", "version": moot or ""}
        scoped = {"scope": scope, "spans": spans}
        resource = {"attributes": attributes(made)}
        return {"resourceSpans": [{"resource": resource, "scopeSpans": [scoped]}]}

    def _engine(self, turn: Row) -> Row:
        return (self.run.experiment.get("engines") or {}).get(turn["engine"]) or {}

    def _model(self, turn: Row) -> str:
        """Return what spoke: the weights, else the engine's model, else the engine."""
        return turn["weights"] or self._engine(turn).get("model") or turn["engine"]

    def _told(self, phase: str, turn: Row) -> dict[str, Any]:
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._engine(turn).get("kind") or turn["engine"],
            "gen_ai.request.model": self._model(turn),
            "gen_ai.agent.name": turn["agent"],
            "gen_ai.conversation.id": turn["episode"],
            "gen_ai.response.finish_reasons": [turn["finish"]],
            "gen_ai.usage.input_tokens": turn["tokens_in"],
            "gen_ai.usage.output_tokens": turn["tokens_out"],
            "gen_ai.usage.cache_read.input_tokens": turn["tokens_cached"],
            "moot.phase": phase,
            "moot.cycle": turn["cycle"],
            "moot.round": turn["round"],
            "moot.turn": turn["turn"],
            "moot.group": turn["group"],
            "moot.role": turn["role"],
            "moot.engine": turn["engine"],
            "moot.version": turn["weights_version"],
            "moot.tries": turn["tries"],
        }


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return attributes as OTLP has them; what isn't known is left out."""
    return [{"key": key, "value": _value(v)} for key, v in values.items() if v is not None]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case list():
            return {"arrayValue": {"values": [_value(one) for one in value]}}
        case _:
            return {"stringValue": str(value)}


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _start(turn: Row) -> int:
    return max(0, _nanoseconds(turn["ended_s"] - turn["latency_s"]))


def _hash(size: int, *parts: object) -> str:
    """Return an id of so many bytes, in hex, that follows from the parts."""
    return blake2b("\n".join(map(str, parts)).encode(), digest_size=size).hexdigest()
