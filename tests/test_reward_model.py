"""A reward model: it learns what is preferred, ranks what it never saw, and is kept whole."""

from dataclasses import replace
from math import exp, log
from pathlib import Path
from typing import Any

import pytest
import torch
from told import FIT, answered, episode, learner, learnt, pair, rollout, turn, words

from moot.agents.embedded.tokens import Tokens
from moot.protocols.types import Preference, Verdict
from moot.training.checkpoint import Progress, read
from moot.training.data.examples import Pair, Rollout
from moot.training.fit import fit
from moot.training.methods.rlaif import RLAIF
from moot.training.methods.rlhf import RLHF
from moot.training.model.learner import Learner
from moot.training.model.rows import columns, rows
from moot.training.model.stored import SCALAR, tensors
from moot.training.model.types import Scores
from moot.training.policy_gradient.objective import Objective
from moot.training.reward_model import RewardModel, rewarded

STEADY = FIT.model_copy(update={"lr": 3e-2, "epochs": 5, "checkpoint_every": 9})


def said(answer: str, i: int) -> Any:
    return words(f"{answer} {i}", asked=f"question {i}")


def preferences(count: int = 8) -> list[Pair]:
    """A reply that begins with y is preferred to one that begins with n, whatever the question."""
    return [pair(f"e{i}", said("y", i), said("n", i)) for i in range(count)]


def judge(model: Path, weights: Path | None = None) -> Learner:
    return learner(model, STEADY, weights, scalar=True)


def logistic(x: float) -> float:
    """-log sigmoid(x)."""
    return log(1 + exp(-x))


# The loss.


@pytest.mark.parametrize(
    ("settings", "probability", "margin", "expected"),
    [
        #  Rewards of 1.5 and -.5: a lead of 2.
        ({}, 1.0, 0.0, logistic(2)),
        ({}, 0.8, 0.0, 0.8 * logistic(2) + 0.2 * logistic(-2)),
        ({"soft": False}, 0.8, 0.0, logistic(2)),
        ({}, 1.0, 0.5, logistic(1.5)),
        ({"centre": 0.1}, 1.0, 0.0, logistic(2) + 0.1),  # (1.5 - .5)² = 1
    ],
)
def test_losses_by_hand(
    settings: dict[str, Any], probability: float, margin: float, expected: float
) -> None:
    one = pair("e", words("y", (8,)), words("n", (9,)), probability=probability, margin=margin)
    chosen, rejected = (replace(side, prompt_tokens=(7,)) for side in one.rows)
    one = replace(one, chosen=chosen, rejected=rejected)
    logp = torch.zeros(2, 1)
    scores = Scores(logp, logp, logp, reward=torch.tensor([1.5, -0.5]))

    found, seen = RewardModel.model_validate(settings).loss(scores, rows(columns([one])), [one])

    assert found.item() == pytest.approx(expected, rel=1e-6)
    assert (seen["preferred"].item(), seen["margin"].item()) == (1, 2)


# Learning.


def test_a_preference_is_learnt_and_ranks_what_was_never_seen(tiny: Path, tmp_path: Path) -> None:
    pupil, encode = judge(tiny), Tokens(tiny)

    steps = learnt(pupil, RewardModel(), preferences(), tiny, tmp_path, STEADY)

    assert steps[-1][1]["preferred"] == 1
    assert steps[-1][1]["loss"] < steps[0][1]["loss"] / 2
    unseen = [replace(rollout(i, None, ()), said=said("yn"[i % 2], 20 + i)) for i in range(6)]
    given = rewarded(pupil, [*unseen, *preferences(1)], encode, tokens=64)
    rewards = [one.reward for one in given if isinstance(one, Rollout)]
    assert len(rewards) == len(given) - 1 == 6
    for liked, not_liked in zip(rewards[::2], rewards[1::2], strict=True):
        assert liked is not None
        assert not_liked is not None
        assert liked > not_liked


def test_only_what_waits_for_a_reward_gets_one_and_alike_however_it_is_parted(tiny: Path) -> None:
    pupil, encode = judge(tiny), Tokens(tiny)
    waiting = [replace(rollout(i, None, ()), said=said("y", i)) for i in range(3)]
    told = replace(waiting[0], reward=0.25)
    examples = [waiting[0], told, *preferences(1), *waiting[1:]]

    found = rewarded(pupil, examples, encode, tokens=1024)
    apart = rewarded(pupil, examples, encode, tokens=1)

    assert found[1:3] == examples[1:3]
    assert [getattr(one, "turn", None) for one in found] == [0, 0, None, 1, 2]
    for one, other in zip(found, apart, strict=True):
        if isinstance(one, Rollout) and isinstance(other, Rollout):
            assert one.reward == pytest.approx(other.reward, abs=1e-5)
    assert rewarded(pupil, [], encode, tokens=8) == []


def test_checkpoints_hold_the_head_and_go_on_to_the_same_bits(tiny: Path, tmp_path: Path) -> None:
    settings = FIT.model_copy(update={"groups": 2})

    def steps(name: str, pupil: Learner) -> Any:
        return fit(
            pupil,
            RewardModel(),
            preferences(),
            Tokens(tiny),
            settings,
            seed=2,
            start=Progress(),
            folder=tmp_path / name,
        )

    whole = list(steps("whole", judge(tiny)))
    cut = steps("parts", judge(tiny))
    first = [next(cut), next(cut), next(cut)]
    cut.close()
    rest = list(steps("parts", judge(tiny)))

    assert first[:2] + rest == whole
    names = ["adapter_model", "head", "optimizer"]
    assert sorted(p.stem for p in (tmp_path / "whole").rglob("*.safetensors")) == names
    for name in names:
        one, other = (
            next((tmp_path / folder).rglob(f"{name}.safetensors")).read_bytes()
            for folder in ("whole", "parts")
        )
        assert one == other
    [kept] = (tmp_path / "whole").glob("step-*")
    end, filed = read(kept), tensors(kept)
    assert {f"{SCALAR}.weight", f"{SCALAR}.bias"} <= set(filed)
    assert f"exp_avg.{SCALAR}.weight" in dict(end.moments())
    again = judge(tiny, kept)
    assert all(torch.equal(t, filed[name]) for name, t in again.tensors().items())


# RLAIF and RLHF.


def test_rlaif_learns_from_preferences_or_directly_from_grades() -> None:
    by_model, direct = RLAIF(), RLAIF(by="grade")
    of_a_file = RLAIF(model=RewardModel(talk=False, file="likes.jsonl"))

    assert (by_model.needs, direct.needs, of_a_file.needs) == ("preferences", "grades", None)
    assert by_model.reward_model == RewardModel()
    assert direct.reward_model is None


def test_rlhf_learns_from_a_file_alone() -> None:
    method = RLHF(file="likes.jsonl", centre=0.01)

    assert method.needs is None
    assert method.reward_model == RewardModel(file="likes.jsonl", talk=False, centre=0.01)
    assert [one.reward for one in method.examples(answered("4", "?"))] == [None, None]
    with pytest.raises(ValueError, match="name a `file`"):
        RewardModel(talk=False)


def test_the_model_rewards_every_answer_and_learns_from_sure_preferences() -> None:
    turns = [turn(0, "4"), turn(1, "5", weights=None), turn(2, "6", role="judge")]
    likes = (Preference(0, 0, 1, 0.7), Preference(0, 1, 0, 0.55))
    told = episode(turns, preferences=likes)

    found = [(one.turn, one.reward, one.teaches) for one in RLAIF().examples(told)]
    assert found == [(0, None, True), (1, None, False)]
    assert [one.probability for one in RewardModel(sure=0.6).examples(told)] == [0.7]
    assert RewardModel(talk=False, file="x.jsonl").examples(told) == []


def test_direct_grades_are_the_rewards() -> None:
    verdicts = (
        Verdict(0, "grade", 0.8),
        Verdict(1, "grade", None),
        Verdict(2, "grade", 1.0, by=5),  # one judge's word
        Verdict(3, "grade", 0.4),
    )
    turns = [turn(0, "4"), turn(1, "5"), turn(2, "6"), turn(3, "7", weights=None)]
    told = episode(turns, verdicts=verdicts)
    plain = Objective(scale="none", kl=0)

    kept, left = (RLAIF(by="grade", no_answer=n, objective=plain) for n in (0.0, None))

    assert [(r.turn, r.reward) for r in kept.examples(told)] == [(0, 0.8), (1, 0.0), (3, 0.4)]
    found = left.graded(left.examples(told))
    assert [r.turn for r in found] == [0, 3]
    assert [r.advantage for r in found] == pytest.approx([0.2, -0.2])
    assert [r.teaches for r in found] == [True, False]
    assert kept.examples(answered("4")) == []
