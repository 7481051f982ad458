"""The run's directory: every file is the dump of the records on its left, whole or not at all."""

import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from moot.agents.types import Prompt
from moot.protocols.journal import Metric
from moot.protocols.types import Episode
from moot.training.types import Rollout

VERSION = "1"
"""The schema version, written into every file's metadata."""

PROMPT = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

TURNS = pa.schema(
    [
        ("cycle", pa.int32()),
        ("episode", pa.string()),
        ("task", pa.string()),
        ("turn", pa.int32()),
        ("round", pa.int32()),
        ("agent", pa.string()),
        ("group", pa.string()),
        ("role", pa.string()),
        ("engine", pa.string()),
        ("weights", pa.string()),
        ("weights_version", pa.int32()),
        ("heard", pa.list_(pa.int32())),
        ("prompt", PROMPT),
        ("text", pa.string()),
        ("answer", pa.string()),
        ("correct", pa.bool_()),
        ("tokens_in", pa.int32()),
        ("tokens_out", pa.int32()),
        ("logprob", pa.float64()),
        ("latency_s", pa.float64()),
        ("finish", pa.string()),
    ]
)

EPISODES = pa.schema(
    [
        ("cycle", pa.int32()),
        ("episode", pa.string()),
        ("task", pa.string()),
        ("question", pa.string()),
        ("protocol", pa.string()),
        ("reference", pa.string()),
        ("rubric", pa.list_(pa.string())),
        ("answer", pa.string()),
        ("expected", pa.string()),
        ("correct", pa.bool_()),
        ("majority", pa.string()),
        ("majority_correct", pa.bool_()),
    ]
)

VERDICTS = pa.schema(
    [
        ("cycle", pa.int32()),
        ("episode", pa.string()),
        ("by", pa.int32()),
        ("of", pa.int32()),
        ("kind", pa.string()),
        ("criterion", pa.string()),
        ("score", pa.float64()),
        ("over", pa.int32()),
    ]
)

ROLLOUTS = pa.schema(
    [
        ("cycle", pa.int32()),
        ("episode", pa.string()),
        ("turn", pa.int32()),
        ("agent", pa.string()),
        ("weights", pa.string()),
        ("weights_version", pa.int32()),
        ("judges", pa.list_(pa.int32())),
        ("prompt", PROMPT),
        ("completion", PROMPT),
        ("prompt_ids", pa.list_(pa.int32())),
        ("completion_ids", pa.list_(pa.int32())),
        ("finish", pa.string()),
        ("temperature", pa.float64()),
        ("reward", pa.float64()),
        ("advantage", pa.float64()),
        ("teaches", pa.bool_()),
    ]
)

METRICS = pa.schema(
    [
        ("cycle", pa.int32()),
        ("step", pa.int32()),
        ("name", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)


def write_episodes(folder: Path, cycle: int, episodes: Sequence[Episode]) -> None:
    """Write what was said and concluded: turns, episodes and verdicts."""
    folder.mkdir(exist_ok=True)
    write(folder / "turns.parquet", TURNS, (t for e in episodes for t in _turns(cycle, e)))
    write(folder / "episodes.parquet", EPISODES, (_episode(cycle, e) for e in episodes))
    write(folder / "verdicts.parquet", VERDICTS, (v for e in episodes for v in _verdicts(cycle, e)))


def write_rollouts(folder: Path, cycle: int, rollouts: Iterable[Rollout]) -> None:
    """Write the graded rollouts that a cycle taught, in TRL's conversational columns."""
    write(folder / "examples.parquet", ROLLOUTS, (_rollout(cycle, r) for r in rollouts))


def write_metrics(path: Path, metrics: Iterable[Metric]) -> None:
    """Write all that was measured; `step` is null for what is of a whole cycle."""
    write(
        path,
        METRICS,
        (
            {
                "cycle": m.cycle,
                "step": None if m.step < 0 else m.step,
                "name": m.name,
                "value": m.value,
                "low": m.low,
                "high": m.high,
            }
            for m in metrics
        ),
    )


def write(path: Path, schema: Any, rows: Iterable[dict[str, Any]]) -> None:
    """Write `rows` to a Parquet file that appears whole or not at all."""
    schema = schema.with_metadata({"moot_schema": VERSION})
    with whole(path) as beside, pq.ParquetWriter(beside, schema, compression="zstd") as file:
        for some in _chunks(rows, 10_000):
            file.write_table(pa.Table.from_pylist(some, schema=schema))


@contextmanager
def whole(path: Path) -> Generator[Path]:
    """Yield a path beside `path` to write to; it takes its place when the block succeeds."""
    beside = path.with_name(f".{path.name}.part")
    try:
        yield beside
        os.replace(beside, path)  # noqa: PTH105 - Path.replace is the same call with a worse name
    finally:
        beside.unlink(missing_ok=True)


def _chunks(rows: Iterable[dict[str, Any]], n: int) -> Iterator[list[dict[str, Any]]]:
    some: list[dict[str, Any]] = []
    for row in rows:
        some.append(row)
        if len(some) == n:
            yield some
            some = []
    yield some


def _turns(cycle: int, episode: Episode) -> Iterator[dict[str, Any]]:
    for turn in episode.turns:
        said = turn.completion
        yield {
            "cycle": cycle,
            "episode": episode.id,
            "task": episode.task.id,
            "turn": turn.index,
            "round": turn.round,
            "agent": turn.agent.name,
            "group": turn.agent.group or turn.agent.name,
            "role": turn.agent.role,
            "engine": turn.agent.engine,
            "weights": turn.agent.weights,
            "weights_version": said.version,
            "heard": turn.heard,
            "prompt": _messages(turn.prompt),
            "text": said.text,
            "answer": turn.answer,
            "correct": episode.task.correct(turn.answer),
            "tokens_in": said.tokens_in,
            "tokens_out": said.tokens_out,
            "logprob": sum(said.logprobs) if said.logprobs else None,
            "latency_s": said.latency_s,
            "finish": said.finish,
        }


def _episode(cycle: int, episode: Episode) -> dict[str, Any]:
    return {
        "cycle": cycle,
        "episode": episode.id,
        "task": episode.task.id,
        "question": episode.task.prompt,
        "protocol": episode.protocol,
        "reference": episode.outcome.reference,
        "rubric": episode.outcome.rubric,
        "answer": episode.outcome.answer,
        "expected": episode.task.answer,
        "correct": episode.correct,
        "majority": episode.outcome.majority,
        "majority_correct": episode.task.correct(episode.outcome.majority),
    }


def _verdicts(cycle: int, episode: Episode) -> Iterator[dict[str, Any]]:
    for verdict in episode.outcome.verdicts:
        yield {
            "cycle": cycle,
            "episode": episode.id,
            "by": verdict.by,
            "of": verdict.of,
            "kind": verdict.kind,
            "criterion": verdict.criterion,
            "score": verdict.score,
            "over": verdict.over,
        }


def _rollout(cycle: int, rollout: Rollout) -> dict[str, Any]:
    return {
        "cycle": cycle,
        "episode": rollout.episode,
        "turn": rollout.turn,
        "agent": rollout.agent,
        "weights": rollout.weights,
        "weights_version": rollout.version,
        "judges": rollout.judges,
        "prompt": _messages(rollout.prompt),
        "completion": [{"role": "assistant", "content": rollout.text}],
        "prompt_ids": rollout.prompt_tokens,
        "completion_ids": rollout.tokens,
        "finish": rollout.finish,
        "temperature": rollout.temperature,
        "reward": rollout.reward,
        "advantage": rollout.advantage,
        "teaches": rollout.teaches,
    }


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in prompt]
