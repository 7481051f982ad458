"""LaSeR: what is taught, and what verdicts share in and cost."""

from dataclasses import replace
from math import nan

import pytest
import torch
from told import episode, turn
from unjudged import PLAIN, answer

from moot.protocols.types import Verdict
from moot.training.methods.laser import LaSeR
from moot.training.model.rows import columns, rows
from moot.training.model.types import Scores
from moot.training.policy_gradient.objective import Objective


def test_there_is_no_kl_where_no_objective_is_named() -> None:
    assert LaSeR().objective == Objective(kl=0.0)
    assert LaSeR.model_validate({"objective": "grpo"}).objective == Objective()
    assert LaSeR.model_validate(LaSeR().model_dump()) == LaSeR()


def test_verdicts_share_in_the_advantage_where_they_differ() -> None:
    # β = .1 and c = -23: log π = -13 is a verdict of 1, -23 of 0.  Both groups by hand: rewards
    # (1, 0, 0, 0) are (1.5, -.5, -.5, -.5) in standard deviations, and so are verdicts (0, 1, 0, 0)
    # with their places changed: A = .9 A_v + .1 A_s.
    rollouts = [answer(i, float(i == 0), -13.0 if i == 1 else -23.0) for i in range(4)]

    found = LaSeR(objective=PLAIN).graded(rollouts)

    assert [r.advantage for r in found] == pytest.approx([1.3, -0.3, -0.5, -0.5], abs=1e-3)


def test_where_the_verifier_sees_no_contrast_verdicts_may() -> None:
    rollouts = [answer(i, 1.0, -13.0 if i == 1 else -23.0) for i in range(4)]

    found = LaSeR(objective=PLAIN, alpha=0).graded(rollouts)

    assert [r.advantage for r in found] == pytest.approx([-0.05, 0.15, -0.05, -0.05], abs=1e-3)
    assert all(r.teaches for r in found)


def test_who_learns_from_few_of_a_group_keeps_what_the_verifier_says_of_all() -> None:
    #  Adapters of their own, and so only two of the four were looked at, or one.
    views = [-13.0, -23.0, None, None]
    two = [answer(i, float(i == 0), view) for i, view in enumerate(views)]
    one = [answer(i, float(i == 0), view) for i, view in enumerate([-13.0, None, None, None])]

    #  Two verdicts apart are (.707, -.707): .9 · 1.5 + .0707, and .9 · -.5 - .0707.
    gains = [r.advantage for r in LaSeR(objective=PLAIN).graded(two)]
    assert gains == pytest.approx([1.4207, -0.5207, -0.5, -0.5], abs=1e-3)
    alone = [r.advantage for r in LaSeR(objective=PLAIN).graded(one)]
    assert alone == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=1e-3)


def test_verdicts_share_by_the_objectives_own_scale() -> None:
    rollouts = [answer(i, float(i == 0), -13.0 if i == 1 else -23.0) for i in range(4)]

    found = LaSeR(objective=Objective(like="dr_grpo")).graded(rollouts)

    #  Centred only: .9 · (.75, -.25, ...) + .1 · (-.25, .75, ...).
    assert [r.advantage for r in found] == pytest.approx([0.65, -0.15, -0.25, -0.25])


def test_verdicts_are_within_0_and_1_and_0_of_what_was_cut_off() -> None:
    views = [-33.0, -13.0, -3.0]  # -1, 1 and 2 before they are held
    rollouts = [answer(i, float(i == 0), view) for i, view in enumerate(views)]
    rollouts.append(answer(3, 0.0, -13.0, "length"))

    found = LaSeR(objective=Objective(kl=0, scale="none")).graded(rollouts)

    #  Centred only: .9 · (.75, -.25, -.25, -.25) + .1 · (-.5, .5, .5, -.5).
    assert [r.advantage for r in found] == pytest.approx([0.625, -0.175, -0.175, -0.275])


def test_what_the_objective_drops_stays_dropped() -> None:
    cut = [answer(0, 0.0, -13.0, "length"), *(answer(i, float(i == 1), -23.0) for i in (1, 2))]
    other = answer(3, 0.0, -13.0)

    found = LaSeR(objective=Objective(like="dapo")).graded([*cut, other])

    assert [r.teaches for r in found] == [False, True, True, True]


def test_a_verdict_counts_alike_after_long_answers_and_short_ones() -> None:
    long, short = answer(0, 1.0, -23.0), answer(1, 0.0, -23.0)
    long = replace(long, said=replace(long.said, known=replace(long.said.known, logp=(-1.0,) * 9)))
    short = replace(short, said=replace(short.said, known=replace(short.said.known, logp=(-1.0,))))

    weights = [r.weight for r in LaSeR(objective=Objective(mean="token")).graded([long, short])]

    #  The loss is divided by 10 tokens: as much as 2 by the 2 answers.
    assert weights == [5.0, 5.0]


def test_a_critic_leaves_verdicts_no_share() -> None:
    ppo = Objective(like="ppo")
    with pytest.raises(ValueError, match="`share` is in the advantage of an answer"):
        LaSeR(objective=ppo)
    assert LaSeR(objective=ppo, share=0).share == 0


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"share": 0, "verdict_steps": 1}, "verdict_steps"),
        ({"share": 0, "least_std": 0.2}, "least_std"),
        ({"share": 0, "alpha": 0, "reasoning_steps": 1}, "reasoning_steps"),
    ],
)
def test_what_nothing_would_heed_is_refused(settings: dict[str, float], name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` means nothing with "):
        LaSeR.model_validate(settings)


def test_answers_are_right_by_the_task_or_by_the_reference() -> None:
    turns = [turn(0, "4"), turn(1, "5"), turn(2, "none"), turn(3, "7")]
    scores = (1.0, 0.0, None, None)
    verdicts = tuple(Verdict(i, "match", score) for i, score in enumerate(scores))
    told = replace(episode(turns), outcome=replace(episode(turns).outcome, verdicts=verdicts))

    #  The task's answer is 4.  What can't be read is wrong; what nobody could compare is left out.
    assert [r.reward for r in LaSeR().examples(told)] == [1, 0, 0, 0]
    assert [(r.turn, r.reward) for r in LaSeR(reward="match").examples(told)] == [
        (0, 1),
        (1, 0),
        (2, 0),
    ]
    unknown = replace(told, task=replace(told.task, answer=None))
    assert LaSeR().examples(unknown) == []


def test_verdicts_that_differ_by_no_more_than_is_said_have_no_share() -> None:
    #  Verdicts of 0, .01, 0 and 0 deviate by .005; of those all at 0 by 0.
    some, none = (
        [answer(i, float(i == 0), -22.9 if i == odd else -23.0) for i in range(4)] for odd in (1, 9)
    )
    method = LaSeR(objective=PLAIN)
    any_at_all = LaSeR(objective=PLAIN, least_std=0)

    for found in (method.graded(some), any_at_all.graded(none)):
        assert [r.advantage for r in found] == pytest.approx([1.5, -0.5, -0.5, -0.5], abs=1e-3)
    shared = [r.advantage for r in any_at_all.graded(some)]
    assert shared == pytest.approx([1.3, -0.3, -0.5, -0.5], abs=1e-2)


def test_goals_weigh_right_and_wrong_alike_and_leave_out_what_was_cut_off() -> None:
    rollouts = [answer(i, float(i == 0), -23.0) for i in range(4)] + [
        answer(4, 1.0, -20.0, "length")
    ]

    found = LaSeR(objective=PLAIN).graded(rollouts)

    # Four count: one right, 4 / 2 = 2; three wrong, 4 / 6 each.
    assert [r.target for r in found] == [1.0, 0.0, 0.0, 0.0, None]
    assert [r.weight for r in found[:4]] == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3])


@pytest.mark.parametrize(
    ("taken", "goals", "advantage"), [(0, False, 1.5), (5, True, 1.5), (9, True, 1.3)]
)
def test_warm_ups_come_one_after_the_other(taken: int, goals: bool, advantage: float) -> None:
    rollouts = [answer(i, float(i == 0), -13.0 if i == 1 else -23.0) for i in range(4)]
    method = LaSeR(objective=PLAIN, reasoning_steps=5, verdict_steps=4)

    found = method.graded(rollouts, taken)

    assert [r.target is not None for r in found] == [goals] * 4
    assert found[0].advantage == pytest.approx(advantage, abs=1e-3)


def test_the_constant_is_what_the_anchor_gives_the_token_in_the_mean() -> None:
    rollouts = [answer(0, 1.0, -13.0), answer(1, 0.0, -13.0)]
    other = replace(rollouts[1].said.known, anchor_probe=-25.0)
    rollouts[1] = replace(rollouts[1], said=replace(rollouts[1].said, known=other))
    #  What was cut off has no end for the token to come after.
    cut = answer(2, 0.0, -13.0, "length")
    cut = replace(cut, said=replace(cut.said, known=replace(cut.said.known, anchor_probe=-99.0)))
    rollouts.append(cut)

    def constants(method: LaSeR) -> list[float | None]:
        return [r.said.known.anchor_probe for r in method.graded(rollouts)]

    assert constants(LaSeR()) == [-24.0, -24.0, -24.0]
    assert constants(LaSeR(constant=False)) == [-23.0, -25.0, -99.0]


def test_what_has_a_goal_teaches_though_its_group_has_no_contrast() -> None:
    alike = [answer(i, 1.0, -23.0) for i in range(3)]

    learnt, left = (LaSeR(objective=PLAIN, alpha=a).graded(alike) for a in (0.1, 0.0))

    assert [(r.target, r.teaches) for r in learnt] == [(1.0, True)] * 3
    assert [(r.target, r.teaches) for r in left] == [(None, False)] * 3


def test_the_loss_of_verdicts_by_hand() -> None:
    #  β = .1 and c = -23: log π = -17 is a verdict of .6.  Of weight 2: 2 · (1 - .6)² = .32, of
    #  which alpha takes half; what is without a goal has no loss beside its advantage, which is 0.
    plain = [
        replace(one, said=replace(one.said, prompt_tokens=(7,)))
        for one in (answer(0, 1.0, -13.0), answer(1, 0.0, -13.0))
    ]
    examples = [replace(plain[0], target=1.0, weight=2.0), plain[1]]
    nothing, probe = torch.zeros(2, 2), torch.tensor([-17.0, -17.0], requires_grad=True)
    scores = Scores(nothing, nothing, nothing, probe=probe)

    losses, metrics = LaSeR(objective=PLAIN, alpha=0.5).loss(
        scores, rows(columns(examples)), examples
    )
    losses.sum().backward()

    assert losses.tolist() == pytest.approx([0.16, 0.0])
    assert probe.grad is not None
    assert probe.grad.tolist() == pytest.approx([0.5 * 2 * 2 * -0.4 * 0.1, 0.0])
    assert metrics["verdict_loss"].tolist() == pytest.approx([0.32, nan], nan_ok=True)
    assert metrics["verdicts_on_right"].tolist() == pytest.approx([1.0, nan], nan_ok=True)
    assert metrics["verdicts_on_wrong"].tolist() == pytest.approx([nan, nan], nan_ok=True)
