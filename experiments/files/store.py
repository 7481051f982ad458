"""The run's directory: every file is the dump of the records on its left, whole or not at all."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from moot.protocols.journal import Metric
from moot.protocols.ledger import Usage
from moot.protocols.types import Episode
from moot.training.data.examples import Shown, said
from moot.training.data.preferences import pair

from .columns import DEMONSTRATIONS, EPISODES, METRICS, PREFERENCES, TURNS, USAGE, VERDICTS
from .lessons import messages, pair_row, shown_row
from .table import Rows, table, write


@contextmanager
def writing(
    folder: Path, cycle: int, *, lessons: bool = False
) -> Generator[Callable[[Episode], None]]:
    """Yield what writes an episode: what was said in it, and what was concluded.

    The files appear when the block succeeds.

    Args:
        folder: where they lie; made if need be.
        cycle: the number of the cycle.
        lessons: whether the preferences and demonstrations are written too, in TRL's columns, where
            there are any.
    """
    folder.mkdir(exist_ok=True)
    with ExitStack() as files:

        def file(name: str, schema: Any, *, empty: bool = True) -> Callable[[Rows], None]:
            return files.enter_context(table(folder / f"{name}.parquet", schema, empty=empty))

        turns = file("turns", TURNS)
        episodes = file("episodes", EPISODES)
        verdicts = file("verdicts", VERDICTS)
        preferences = file("preferences", PREFERENCES, empty=False)
        demonstrations = file("demonstrations", DEMONSTRATIONS, empty=False)

        def add(episode: Episode) -> None:
            turns(_turns(cycle, episode))
            episodes([_episode(cycle, episode)])
            verdicts(_verdicts(cycle, episode))
            if lessons:
                preferences(_preferences(cycle, episode))
                demonstrations(_demonstrations(cycle, episode))

        yield add


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


def write_usage(path: Path, usage: Iterable[Usage]) -> None:
    """Write what was spent, by phase, protocol and agent; `cycle` is null for what is of none."""
    ranked = sorted(usage, key=lambda u: (u.phase, u.protocol, u.agent, u.role, u.engine))
    write(path, USAGE, map(_usage, ranked))


def _usage(one: Usage) -> dict[str, Any]:
    kind, _, number = one.phase.rpartition("-")
    return {
        "cycle": int(number) if kind in {"cycle", "held-out", "win-rate"} else None,
        "phase": one.phase,
        "protocol": one.protocol,
        "agent": one.agent,
        "group": one.group,
        "role": one.role,
        "engine": one.engine,
        **asdict(one.spent),
    }


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
            "prompt": messages(turn.prompt),
            "text": said.text,
            "answer": turn.answer,
            "correct": episode.task.correct(turn.answer),
            "tokens_in": said.tokens_in,
            "tokens_out": said.tokens_out,
            "logprob": sum(said.logprobs) if said.logprobs else None,
            "latency_s": said.latency_s,
            "finish": said.finish,
            "tokens_cached": said.tokens_cached,
            "tries": said.tries,
            "ended_s": said.ended_s,
        }


def _episode(cycle: int, episode: Episode) -> dict[str, Any]:
    source = episode.referred
    return {
        "cycle": cycle,
        "episode": episode.id,
        "task": episode.task.id,
        "question": episode.task.prompt,
        "protocol": episode.protocol,
        "reference": episode.outcome.reference,
        "reference_finish": None if source is None else source.completion.finish,
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


def _preferences(cycle: int, episode: Episode) -> Iterator[dict[str, Any]]:
    for one in episode.outcome.preferences:
        yield pair_row(cycle, pair(episode, one))


def _demonstrations(cycle: int, episode: Episode) -> Iterator[dict[str, Any]]:
    for one in episode.outcome.demonstrations:
        speaker = episode.turns[one.said]
        words = said(speaker, episode.turns[one.asked])
        yield shown_row(cycle, Shown(episode.id, one.said, speaker.agent.name, (), words, one.name))
