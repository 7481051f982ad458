"""What a protocol draws: anew in each cycle and with each seed, and the same when it is resumed."""

from pathlib import Path
from typing import Any

from staged import Voice, play

from moot.protocols.consensus import Consensus
from moot.protocols.critique import Critique
from moot.protocols.types import Episode
from moot.protocols.voting import plurality
from moot.training.methods.cat import CaT
from moot.training.methods.ttrl import TTRL


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


def test_what_learns_and_measures_draws_a_tie_as_the_protocol_did(tmp_path: Path) -> None:
    def winners(name: str, **run: Any) -> list[list[float | None]]:
        unlike = Voice(lambda request: str(request.seed))
        episodes = play(tmp_path / name, unlike, Consensus(), n=8, **run)
        found: list[list[float | None]] = []
        for one in episodes:
            assert isinstance(one, Episode)
            found.append([r.reward for r in CaT().examples(one)])
            assert [r.reward for r in TTRL().examples(one)] == found[-1]
            assert (
                plurality(one.task, [turn.answer for turn in one.turns]).winner
                == one.outcome.answer
            )
        return found

    first = winners("m")
    others = winners("n", phase="cycle-001"), winners("o", seed=8)

    assert [row.count(1) for row in first] == [1] * 8
    assert winners("m") == first
    assert all(other != first for other in others)
