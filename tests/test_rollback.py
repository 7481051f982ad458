"""Guards: what is on disk, and in the pupil, after one was broken."""

from pathlib import Path
from typing import Any

import pytest
from told import filed, learner, learnt, studied, work
from watched import BROKEN, EXAMPLES, WATCHED, equal, guarded, steps, tensors

from moot.agents.errors import MootError
from moot.training.checkpoint import latest, read
from moot.training.methods.sft import SFT


@pytest.mark.parametrize("name", BROKEN)
def test_stop_keeps_the_steps_before(name: str, tiny: Path, tmp_path: Path) -> None:
    free, pupil = learner(tiny), learner(tiny)
    once = WATCHED.model_copy(update={"epochs": 1})
    steps(free, tiny, tmp_path / "free", once, EXAMPLES[:2])

    found = steps(pupil, tiny, tmp_path / "guarded", guarded(**BROKEN[name][0]))

    assert [step for step, _ in found] == [0, 1]
    assert ["guarded" in seen for _, seen in found] == [False, True]
    assert equal(tensors(pupil), tensors(free))
    kept = latest(tmp_path / "guarded")
    assert kept is not None
    assert (kept.step, kept.taken) == (4, 1)  # over, after one step
    assert equal(filed(kept), tensors(free))


@pytest.mark.parametrize("then", ["stop", "rollback"])
def test_what_was_guarded_is_over_though_the_run_is_killed_after(
    then: str, tiny: Path, tmp_path: Path
) -> None:
    settings = guarded(length=2, then=then)
    steps(learner(tiny), tiny, tmp_path, settings)
    kept, pupil = latest(tmp_path), learner(tiny)
    assert kept is not None
    weights, moments = filed(kept), dict(kept.moments())

    again = steps(pupil, tiny, tmp_path, settings)

    after = latest(tmp_path)
    assert after is not None
    assert again == []
    assert equal(filed(after), weights)
    assert equal(tensors(pupil), weights)
    assert equal(dict(after.moments()), moments)
    assert (after.step, after.taken) == (4, 1 if then == "stop" else 0)
    assert any(after.moments()) == (then == "stop")  # before the first step there were none


def test_rollback_gives_back_the_optimiser_too(tiny: Path, tmp_path: Path) -> None:
    steps(learner(tiny), tiny, tmp_path / "before", WATCHED, EXAMPLES[:2])
    [folder] = (tmp_path / "before").glob("step-*")
    start = latest(tmp_path / "before")
    assert start is not None

    settings = guarded(length=2, then="rollback")
    pupil = learner(tiny, weights=folder)
    learnt(pupil, SFT(), EXAMPLES, tiny, tmp_path / "guarded", settings, start)

    kept = latest(tmp_path / "guarded")
    assert kept is not None
    assert kept.taken == start.taken
    assert equal(dict(kept.moments()), dict(read(folder).moments()))


def test_what_was_learnt_before_a_step_that_fails_is_on_disk(tiny: Path, tmp_path: Path) -> None:
    seldom = guarded(length=2, then="fail").model_copy(update={"checkpoint_every": 10})

    with pytest.raises(MootError, match="the weights of before this step are kept"):
        steps(learner(tiny), tiny, tmp_path, seldom)

    kept = latest(tmp_path)
    assert kept is not None
    assert (kept.step, kept.taken) == (1, 1)


@pytest.mark.parametrize("name", BROKEN)
def test_rollback_gives_back_what_the_cycle_began_with(
    name: str, tiny: Path, tmp_path: Path
) -> None:
    steps(learner(tiny), tiny, tmp_path / "before", WATCHED, EXAMPLES[:2])
    [start] = (tmp_path / "before").glob("step-*")
    pupil = learner(tiny, weights=start)
    before = tensors(pupil)
    assert any(tensor.any() for key, tensor in before.items() if "lora_B" in key)

    #  What the weights of the start are far from already is broken at once.
    settings = guarded(**BROKEN[name][0], then="rollback")
    found = steps(pupil, tiny, tmp_path / "guarded", settings)

    assert found[-1][1]["guarded"] == 1
    assert len(found) == (1 if name == "kl" else 2)
    assert equal(tensors(pupil), before)
    kept = latest(tmp_path / "guarded")
    assert kept is not None
    assert equal(filed(kept), before)


@pytest.mark.parametrize(
    ("guards", "seen", "moved"),
    [
        ({}, 4, True),
        ({"length": 2}, 2, True),
        ({"length": 2, "then": "rollback"}, 2, False),
        ({"length": 0.5}, 1, False),  # stopped before its first step
    ],
)
def test_what_ends_where_it_began_is_no_new_version(
    guards: dict[str, Any], seen: int, moved: bool, tiny: Path, tmp_path: Path
) -> None:
    taken, done = studied(work(tiny, tmp_path, SFT(), guarded(**guards)), EXAMPLES)

    assert len(taken) == seen
    assert done.moved == moved
