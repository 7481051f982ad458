"""What a protocol draws: anew in each cycle and with each seed, and the same when it is resumed."""

from pathlib import Path
from typing import Any

from staged import Voice, play

from moot.protocols.critique import Critique
from moot.protocols.types import Episode


def test_what_a_protocol_draws_is_drawn_anew_in_each_cycle_and_with_each_seed(
    tmp_path: Path,
) -> None:
    def principles(name: str, **run: Any) -> list[str]:
        episodes = play(tmp_path / name, Voice(), Critique(), n=8, **run)
        turns = [turn for one in episodes if isinstance(one, Episode) for turn in one.turns]
        return [t.prompt[-1].content for t in turns if t.agent.role == "critic"]

    first = principles("j")
    others = principles("k", phase="cycle-001"), principles("l", seed=8)

    assert principles("j") == first
    assert all(other != first for other in others)
