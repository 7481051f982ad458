"""Guards: what each watches, and what is done when one is broken."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from told import FIT, learner, learnt, studied, words
from torch import Tensor

from moot.agents.errors import MootError
from moot.agents.tokens import Tokens
from moot.training.checkpoint import latest
from moot.training.examples import Known, Rollout, Shown
from moot.training.fit import Metrics, graded
from moot.training.job import BEFORE, Job
from moot.training.learner import Learner
from moot.training.methods.cat import CaT
from moot.training.methods.sft import SFT
from moot.training.objective import Objective
from moot.training.settings import Fit, Guards


def shown(name: str, i: int, text: str, tokens: tuple[int, ...]) -> Shown:
    return Shown(name, i, "a", ("w",), words(text, tokens), "reference")


#  Two episodes, a step each, which the seed orders so in both epochs: two short replies that
#  differ; two long ones alike.
EXAMPLES = [
    shown("b", 0, "x", (20,)),
    shown("b", 1, "y", (21,)),
    shown("a", 0, "z", (22, 23, 24)),
    shown("a", 1, "z", (22, 23, 24)),
]
WATCHED = Fit.model_validate(FIT.model_dump() | {"lr": 3e-2, "groups": 1, "epochs": 2})

#  In the first step the policy is the anchor still, and unsure.
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "length": ({"length": 2}, r"length 3 is above fit\.guards\.length, 2"),
    "distinct": ({"distinct": 0.6}, r"distinct 0\.5 is below fit\.guards\.distinct, 0\.6"),
    "kl": ({"kl": 1e-9}, r"kl \S+ is above fit\.guards\.kl, 1e-09"),
}
#  Random weights are far from sure: the first step breaks these.
ABOVE = {
    "loss": ({"loss": 0.1}, r"loss \S+ is above fit\.guards\.loss, 0\.1"),
    "grad_norm": ({"grad_norm": 1e-6}, r"grad_norm \S+ is above fit\.guards\.grad_norm, 1e-06"),
}


DAPO = Objective.model_validate({"like": "dapo", "cut": "keep"})


def guarded(**guards: Any) -> Fit:
    return WATCHED.model_copy(update={"guards": Guards(**guards)})


def tensors(pupil: Learner) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in pupil.tensors().items()}


def equal(one: Any, other: Any) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def steps(
    pupil: Learner, model: Path, folder: Path, settings: Fit, examples: Sequence[Shown] = EXAMPLES
) -> list[tuple[int, Metrics]]:
    return learnt(pupil, SFT(), examples, model, folder, settings)


def test_without_guards_all_steps_are_taken_and_the_anchor_is_not_asked(
    tiny: Path, tmp_path: Path
) -> None:
    found = steps(learner(tiny), tiny, tmp_path, WATCHED)

    assert [step for step, _ in found] == [0, 1, 2, 3]
    assert [seen["length"] for _, seen in found] == [1, 3, 1, 3]
    assert [seen["distinct"] for _, seen in found] == [1, 0.5, 1, 0.5]
    assert all("kl" not in seen and "guarded" not in seen for _, seen in found)
    plain, kl = (
        graded(learner(tiny), SFT(), EXAMPLES, Tokens(tiny), settings, lambda _: True)
        for settings in (WATCHED, guarded(kl=1.0))
    )
    assert all(one.rows[0].known == Known() for one in plain)
    assert [len(one.rows[0].known.anchor) for one in kl] == [1, 1, 3, 3]


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
    assert equal(kept.weights, tensors(free))


@pytest.mark.parametrize("name", ABOVE)
def test_a_step_that_explodes_is_not_taken(name: str, tiny: Path, tmp_path: Path) -> None:
    guard, why = ABOVE[name]
    pupil = learner(tiny)
    before = tensors(pupil)

    with pytest.raises(MootError, match=why):
        steps(pupil, tiny, tmp_path, guarded(**guard, then="fail"))

    assert equal(tensors(pupil), before)


def work(model: Path, folder: Path, method: Any, settings: Fit) -> Job:
    """A job that begins with no weights."""
    return Job(
        model=model,
        weights=None,
        folder=folder,
        method=method,
        fit=settings,
        heard=("w",),
        adapter_seed=1,
        order_seed=2,
    )


@pytest.mark.parametrize(
    ("texts", "distinct"),
    [
        (("xy", "zz", "zz"), 2 / 3),  # two of three episodes teach nothing
        (("zz", "zz"), 0.5),  # all do
    ],
)
def test_texts_should_differ_in_episodes_without_contrast_too(
    texts: tuple[str, ...], distinct: float, tiny: Path, tmp_path: Path
) -> None:
    rollouts = [
        Rollout(f"e{n}", i, 0, "a", "w", 0, words(text, (20 + i,)), float(i and text == "y"))
        for n, pair in enumerate(texts)
        for i, text in enumerate(pair)
    ]
    method = CaT(objective=Objective(kl=0))

    taken, done = studied(work(tiny, tmp_path, method, guarded(distinct=0.7)), rollouts)

    assert taken[-1] == (BEFORE, {"distinct": pytest.approx(distinct), "guarded": 1.0})
    assert not any(step != BEFORE for step, _ in taken)
    assert not done.moved
    strict = work(tiny, tmp_path, method, guarded(distinct=0.7, then="fail"))
    with pytest.raises(MootError, match=r"below fit\.guards\.distinct, 0\.7; the weights are"):
        studied(strict, rollouts)
    loose = work(tiny, tmp_path, method, guarded(distinct=0.4))
    assert "guarded" not in studied(loose, rollouts)[0][-1][1]


@pytest.mark.parametrize("then", ["stop", "rollback"])
def test_what_was_guarded_is_over_though_the_run_is_killed_after(
    then: str, tiny: Path, tmp_path: Path
) -> None:
    settings = guarded(length=2, then=then)
    steps(learner(tiny), tiny, tmp_path, settings)
    kept, pupil = latest(tmp_path), learner(tiny)

    again = steps(pupil, tiny, tmp_path, settings)

    after = latest(tmp_path)
    assert kept is not None
    assert after is not None
    assert again == []
    assert equal(after.weights, kept.weights)
    assert equal(tensors(pupil), kept.weights)
    assert equal(after.moments, kept.moments)
    assert (after.step, after.taken) == (4, 1 if then == "stop" else 0)


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
    assert equal(kept.moments, start.moments)


def test_what_was_learnt_before_a_step_that_fails_is_on_disk(tiny: Path, tmp_path: Path) -> None:
    seldom = guarded(length=2, then="fail").model_copy(update={"checkpoint_every": 10})

    with pytest.raises(MootError, match="the weights of before this step are kept"):
        steps(learner(tiny), tiny, tmp_path, seldom)

    kept = latest(tmp_path)
    assert kept is not None
    assert (kept.step, kept.taken) == (1, 1)


def test_a_step_in_which_nobody_said_a_token_changes_nothing(tiny: Path, tmp_path: Path) -> None:
    silent = Rollout("e", 0, 0, "a", "w", 0, replace(words("", ()), finish="length"), 1.0)
    other = replace(silent, turn=1, reward=0.0)
    pupil = learner(tiny)
    before = tensors(pupil)

    [(_, seen)] = learnt(pupil, CaT(objective=DAPO), [silent, other], tiny, tmp_path, FIT)

    assert (seen["loss"], seen["grad_norm"], seen["length"]) == (0, 0, 0)
    assert equal(tensors(pupil), before)


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
    assert equal(kept.weights, before)


@pytest.mark.parametrize("name", BROKEN)
def test_fail_ends_the_run_and_names_the_guard(name: str, tiny: Path, tmp_path: Path) -> None:
    settings, message = BROKEN[name]
    pupil = learner(tiny)

    with pytest.raises(MootError, match=f"^training: {message}; the step was of [ab] turn 0"):
        steps(pupil, tiny, tmp_path, guarded(**settings, then="fail"))

    kept = latest(tmp_path)
    assert kept is not None
    assert kept.step == 1
    assert equal(kept.weights, tensors(pupil))


def test_a_policy_that_is_too_sure_is_stopped(tiny: Path, tmp_path: Path) -> None:
    settings = WATCHED.model_copy(update={"epochs": 6})
    alike = [shown("a", 0, "z", (22, 23, 24))]
    free = steps(learner(tiny), tiny, tmp_path / "free", settings, alike)
    entropies = [seen["entropy"] for _, seen in free]
    assert entropies[3] > entropies[4]
    least = (entropies[3] + entropies[4]) / 2
    assert min(entropies[:3]) > least

    watched = settings.model_copy(update={"guards": Guards(entropy=least)})
    found = steps(learner(tiny), tiny, tmp_path / "guarded", watched, alike)

    assert [seen.pop("guarded", 0.0) for _, seen in found] == [0, 0, 0, 0, 1]
    assert found == free[:5]


def test_a_guard_that_holds_changes_nothing(tiny: Path, tmp_path: Path) -> None:
    pupil, free = learner(tiny), learner(tiny)
    loose = {"entropy": 1e-6, "kl": 1e6, "length": 3, "distinct": 0.5}

    found = steps(pupil, tiny, tmp_path / "guarded", guarded(**loose, then="fail"))
    plain = steps(free, tiny, tmp_path / "free", WATCHED)

    #  At the bound itself nothing is broken yet.
    assert [{**seen, "kl": 0.0} for _, seen in found] == [{**s, "kl": 0.0} for _, s in plain]
    assert equal(tensors(pupil), tensors(free))


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


@pytest.mark.parametrize(
    "guards", [{"entropy": 0}, {"kl": 0}, {"length": 0}, {"distinct": 1.1}, {"then": "pause"}]
)
def test_a_guard_that_means_nothing_is_an_error(guards: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Guards.model_validate(guards)
