"""Guards: what each watches, and what is done when one is broken."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from told import FIT, filed, learner, learnt, studied, words, work
from watched import (
    ABOVE,
    BROKEN,
    DAPO,
    EXAMPLES,
    WATCHED,
    equal,
    guarded,
    shown,
    steps,
    tensors,
)

from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import MootError
from moot.training.checkpoint import latest
from moot.training.data.examples import Known, Rollout
from moot.training.data.filed import keeper
from moot.training.fit import graded
from moot.training.job import BEFORE
from moot.training.methods.cat import CaT
from moot.training.methods.sft import SFT
from moot.training.policy_gradient.objective import Objective
from moot.training.settings import Guards


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


@pytest.mark.parametrize("name", ABOVE)
def test_a_step_that_explodes_is_not_taken(name: str, tiny: Path, tmp_path: Path) -> None:
    guard, why = ABOVE[name]
    pupil = learner(tiny)
    before = tensors(pupil)

    with pytest.raises(MootError, match=why):
        steps(pupil, tiny, tmp_path, guarded(**guard, then="fail"))

    assert equal(tensors(pupil), before)


def test_a_policy_that_learns_from_others_words_is_held_by_the_least_its_kl_can_be(
    tiny: Path, tmp_path: Path
) -> None:
    how = (EXAMPLES, tiny, tmp_path)
    first, second = learnt(learner(tiny), SFT(), *how, guarded(kl=1e-4))

    assert first[1]["kl_least"] == pytest.approx(0, abs=1e-5)
    assert "guarded" not in first[1]
    assert second[1]["kl_least"] > 1e-4
    assert second[1]["guarded"] == 1.0
    assert not {"kl"} & (first[1].keys() | second[1].keys())


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


def test_one_answer_to_whatever_is_asked_is_guarded_in_steps_and_without_contrast_too(
    tiny: Path, tmp_path: Path
) -> None:
    #  Of the seven that can be read five are 7, in other words; in the first episode all are.
    read = [("7", "7", "7"), ("7", None, "5"), ("7", "6", None), (None, None, None)]
    rollouts = [
        replace(
            Rollout(f"e{n}", i, 0, "a", "w", 0, words(f"{n}{i}", (20 + i,)), float(one == "7")),
            answer=one,
        )
        for n, answers in enumerate(read)
        for i, one in enumerate(answers)
    ]
    method = CaT(objective=Objective(kl=0))

    taken, done = studied(work(tiny, tmp_path / "7", method, guarded(commonest=0.7)), rollouts)

    assert taken[-1][1]["commonest"] == pytest.approx(5 / 7)
    assert not done.moved
    assert not any(step != BEFORE for step, _ in taken)
    taken, done = studied(work(tiny, tmp_path / "8", method, guarded(commonest=0.8)), rollouts)
    #  The step is of the two episodes that differ.
    assert {seen["commonest"] for step, seen in taken if step != BEFORE} == {2 / 4}
    assert done.moved


@pytest.mark.parametrize("filed", [False, True])
def test_texts_of_demonstrations_should_differ_too_in_memory_or_in_a_file(
    filed: bool, tiny: Path, tmp_path: Path
) -> None:
    told = (keeper(tmp_path) if filed else list)(EXAMPLES)

    taken, done = studied(work(tiny, tmp_path, SFT(), guarded(distinct=0.8)), told)

    assert taken == [(BEFORE, {"distinct": 0.75, "guarded": 1.0})]  # the first step's differ
    assert not done.moved


def test_a_step_in_which_nobody_said_a_token_changes_nothing(tiny: Path, tmp_path: Path) -> None:
    silent = Rollout("e", 0, 0, "a", "w", 0, replace(words("", ()), finish="length"), 1.0)
    other = replace(silent, turn=1, reward=0.0)
    pupil = learner(tiny)
    before = tensors(pupil)

    [(_, seen)] = learnt(pupil, CaT(objective=DAPO), [silent, other], tiny, tmp_path, FIT)

    assert (seen["loss"], seen["grad_norm"], seen["length"]) == (0, 0, 0)
    assert equal(tensors(pupil), before)


@pytest.mark.parametrize("name", BROKEN)
def test_fail_ends_the_run_and_names_the_guard(name: str, tiny: Path, tmp_path: Path) -> None:
    settings, message = BROKEN[name]
    pupil = learner(tiny)

    with pytest.raises(MootError, match=f"^training: {message}; the step was of [ab] turn 0"):
        steps(pupil, tiny, tmp_path, guarded(**settings, then="fail"))

    kept = latest(tmp_path)
    assert kept is not None
    assert kept.step == 1
    assert equal(filed(kept), tensors(pupil))


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
    "guards", [{"entropy": 0}, {"kl": 0}, {"length": 0}, {"distinct": 1.1}, {"then": "pause"}]
)
def test_a_guard_that_means_nothing_is_an_error(guards: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Guards.model_validate(guards)
