"""What a cycle taught, in TRL's conversational columns: `examples.parquet`."""

from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from typing import Any

from moot.agents.types import Prompt
from moot.training.data.examples import Example, Pair, Rollout, Shown

from .columns import PAIRS, ROLLOUTS, SHOWN
from .table import write


def write_examples(
    folder: Path, cycle: int, taught: Iterable[tuple[str | None, Iterable[Example]]]
) -> None:
    """Write what a cycle taught, examples of one kind, in TRL's conversational columns.

    Args:
        folder: the cycle's.
        cycle: its number.
        taught: the weights that learn, and what they learn from; `None`: nobody has learnt yet.
    """
    schemas: dict[type[Example], Any] = {Pair: PAIRS, Shown: SHOWN}
    rest = ((learner, example) for learner, examples in taught for example in examples)
    first = list(islice(rest, 1))
    schema = schemas.get(type(first[0][1]), ROLLOUTS) if first else ROLLOUTS
    found = (_example(cycle, *one) for one in chain(first, rest))
    write(folder / "examples.parquet", schema, found)


def _example(cycle: int, learner: str | None, example: Example) -> dict[str, Any]:
    if isinstance(example, Rollout):
        row = _rollout(cycle, example)
    else:
        row = pair_row(cycle, example) if isinstance(example, Pair) else shown_row(cycle, example)
    if learner is None and "advantage" in row:
        row["advantage"] = None  # it is a learner's to tell
    return {**row, "learner": learner}


def pair_row(cycle: int, pair: Pair) -> dict[str, Any]:
    """Return a preference as its row."""
    return {
        "cycle": cycle,
        "episode": pair.episode,
        "chosen_turn": pair.turns[0],
        "rejected_turn": pair.turns[1],
        "chosen_agent": pair.agents[0],
        "rejected_agent": pair.agents[1],
        "judges": pair.judges,
        "prompt": messages(pair.chosen.prompt),
        "chosen": _reply(pair.chosen.text),
        "rejected": _reply(pair.rejected.text),
        "chosen_finish": pair.chosen.finish,
        "rejected_finish": pair.rejected.finish,
        "probability": pair.probability,
        "teaches": pair.teaches,
    }


def shown_row(cycle: int, shown: Shown) -> dict[str, Any]:
    """Return a demonstration as its row."""
    return {
        "cycle": cycle,
        "episode": shown.episode,
        "turn": shown.turn,
        "agent": shown.agent,
        "name": shown.name,
        "prompt": messages(shown.said.prompt),
        "completion": _reply(shown.said.text),
        "finish": shown.said.finish,
        "teaches": shown.teaches,
    }


def _rollout(cycle: int, rollout: Rollout) -> dict[str, Any]:
    return {
        "cycle": cycle,
        "episode": rollout.episode,
        "turn": rollout.turn,
        "round": rollout.round,
        "agent": rollout.agent,
        "weights": rollout.weights,
        "weights_version": rollout.version,
        "judges": rollout.judges,
        "prompt": messages(rollout.said.prompt),
        "completion": _reply(rollout.said.text),
        "prompt_ids": rollout.said.prompt_tokens,
        "completion_ids": rollout.said.tokens,
        "finish": rollout.said.finish,
        "temperature": rollout.said.temperature,
        "answer": rollout.answer,
        "reward": rollout.reward,
        "advantage": rollout.advantage,
        "earned": rollout.earned,
        "teaches": rollout.teaches,
    }


def messages(prompt: Prompt) -> list[dict[str, str]]:
    """Return a prompt in the conversational format."""
    return [{"role": m.role, "content": m.content} for m in prompt]


def _reply(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
