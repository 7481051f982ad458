"""Room: what is longer than the model's context is left out, and counted."""

from dataclasses import replace
from pathlib import Path

from told import FIT, pair, rollout, studied, words, work

from moot.agents.embedded.tokens import Tokens
from moot.training.data.examples import Shown
from moot.training.job import BEFORE
from moot.training.methods.cat import CaT
from moot.training.methods.sft import SFT
from moot.training.model.room import Room
from moot.training.reward_model import RewardModel


def shown(i: int, length: int) -> Shown:
    return Shown("e", i, "a", ("w",), words("x", (20,) * length), "reference")


def test_a_row_fits_up_to_its_last_token(tiny: Path) -> None:
    encode = Tokens(tiny)
    room = Room(encode, len(encode.prompt(words("x").prompt)) + 3)

    assert room.holds(shown(0, 3))
    assert not room.holds(shown(1, 4))
    assert Room(encode, None).holds(shown(1, 4000))
    #  Each side of a preference, and a text that has no ids yet.
    assert not room.holds(pair("p", words("x", (20,)), words("y", (20,) * 4)))
    assert not room.holds(replace(shown(2, 1), said=words("four")))


def test_what_is_too_long_is_left_out_and_counted_once(tiny: Path, tmp_path: Path) -> None:
    job = work(tiny, tmp_path, SFT(), FIT.model_copy(update={"epochs": 2}))

    steps, done = studied(job, [shown(0, 3), shown(1, 300), shown(2, 4)])

    assert steps[0] == (BEFORE, {"too_long": 1})
    assert [seen["completions"] for _, seen in steps[1:]] == [2, 2]
    assert [e.turn for e in done.examples if isinstance(e, Shown)] == [0, 2]


def test_what_is_left_out_still_counts_in_its_group(tiny: Path, tmp_path: Path) -> None:
    rollouts = [rollout(0, 1.0, (20,)), rollout(1, 0.0, (21,)), rollout(2, 0.0, (22,) * 300)]
    method = CaT(objective="dr_grpo")  # pyright: ignore[reportArgumentType]
    job = work(tiny, tmp_path, method)

    _, done = studied(job, rollouts)

    advantages = [round(getattr(e, "advantage", 0.0), 4) for e in done.examples]
    assert advantages == [0.6667, -0.3333]


def test_what_is_too_long_to_be_rewarded_is_counted_where_it_would_be_learnt(
    tiny: Path, tmp_path: Path
) -> None:
    rollouts = [rollout(0, None, (20,)), rollout(1, None, (21,) * 300)]
    job = work(tiny, tmp_path, RewardModel()).model_copy(update={"what": "reward", "heard": None})

    steps, done = studied(job, rollouts)

    assert steps == []
    assert [getattr(one, "reward", 0) is None for one in done.examples] == [False, True]
    [(step, seen)], _ = studied(work(tiny, tmp_path / "policy", CaT()), done.examples)
    assert (step, seen["too_long"]) == (BEFORE, 1)


def test_contrast_is_told_of_the_groups_that_are_learnt_from_with_all_their_words(
    tiny: Path, tmp_path: Path
) -> None:
    rewards = {("e", "w"): 1.0, ("e", "v"): 0.0, ("f", "w"): 0.5, ("f", "v"): 0.5, ("g", "v"): 1.0}
    rollouts = [
        rollout(i, reward, (20 + i,), episode=name, weights=who)
        for i, ((name, who), reward) in enumerate(rewards.items())
    ]
    job = work(tiny, tmp_path, CaT())

    steps, _ = studied(job, rollouts)

    #  Of two groups one is alike; in the third it has no words.
    assert steps[0] == (BEFORE, {"earned": 0.75, "alike": 0.5, "alone": 0.0})
