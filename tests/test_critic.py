"""The value head: how tokens are credited, by hand, and that PPO moves it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from told import FIT, learner, learnt, rollout

from moot.training.data.examples import Known, Rollout
from moot.training.methods.cat import CaT
from moot.training.model.rows import rows
from moot.training.model.stored import SCALAR, tensors
from moot.training.model.types import Scores
from moot.training.policy_gradient.credit import EPS
from moot.training.policy_gradient.critic import Critic, by_token
from moot.training.policy_gradient.objective import Objective

PLAIN = Critic(whiten=False, discount=0.5, trace=0.5, weight=0.5, clip=1.0)


def seen(
    values: tuple[float, ...],
    reward: float | None = 1.0,
    drift: tuple[float, ...] = (),
    weights: str | None = "w",
) -> Rollout:
    """A reply of which the head expected `values`, as many nats likelier as `drift` says."""
    known = Known(logp=(-1.0,) * len(drift), anchor=tuple(-1.0 - x for x in drift), value=values)
    one = rollout(0, reward, tuple(range(8, 8 + len(values))), weights=weights)
    return replace(one, said=replace(one.said, prompt_tokens=(7,), known=known))


def earned(one: Rollout) -> float:
    return one.reward or 0.0


def credited(critic: Critic, examples: list[Rollout], kl: float) -> list[Rollout]:
    def paid(one: Rollout) -> list[float]:
        pairs = zip(one.said.known.logp, one.said.known.anchor, strict=True)
        return [kl * (policy - anchor) for policy, anchor in pairs]

    return critic.credited(examples, earned, paid, lambda one, _: one.weights is not None)


def test_tokens_are_credited_by_hand() -> None:
    #  Expected .2, .4, .8; discount and trace .5; the reward of 1 comes after the last.  Errors:
    #  0 + .5 · .4 - .2 = 0;  0 + .5 · .8 - .4 = 0;  1 + 0 - .8 = .2.
    #  Carried back by .5 · .5 = .25: .2, then .05, then .0125.
    [found] = credited(PLAIN, [seen((0.2, 0.4, 0.8))], kl=0.0)

    assert found.gains == pytest.approx((0.0125, 0.05, 0.2))
    assert found.returns == pytest.approx((0.2125, 0.45, 1.0))
    assert found.advantage == pytest.approx(0.0875)
    assert found.teaches


def test_each_token_pays_for_its_own_kl() -> None:
    #  1, 0 and -2 nats at .1 each: paid -.1, 0 and 1 + .2.  Errors: -.1, 0, .4;
    #  carried: .4, then .1, then -.1 + .025.
    one = seen((0.2, 0.4, 0.8), drift=(1.0, 0.0, -2.0))

    [found] = credited(PLAIN, [one], kl=0.1)
    [free] = credited(PLAIN, [one], kl=0.0)

    assert found.gains == pytest.approx((-0.075, 0.1, 0.4))
    assert found.returns == pytest.approx((0.125, 0.5, 1.2))
    assert free.gains == pytest.approx((0.0125, 0.05, 0.2))


def test_without_discount_the_last_reward_is_everyones() -> None:
    plain = Critic(whiten=False, trace=1.0)

    [found] = credited(plain, [seen((0.2, 0.4, 0.8))], kl=0.0)

    assert found.returns == pytest.approx((1.0, 1.0, 1.0))
    assert found.gains == pytest.approx((0.8, 0.6, 0.2))


def test_a_discount_alone_takes_from_the_reward_what_it_is_late() -> None:
    [found] = credited(Critic(whiten=False, discount=0.5, trace=1.0), [seen((0.2, 0.4, 0.8))], kl=0)

    assert found.returns == pytest.approx((0.25, 0.5, 1.0))


def test_advantages_are_whitened_over_all_tokens_and_returns_are_not() -> None:
    #  Nothing expected nor discounted: gains are the rewards, 1, 1 and 4, of mean 2 and unbiased
    #  variance (1 + 1 + 4) / 2 = 3.
    white = Critic(trace=1.0)
    examples = [seen((0.0, 0.0)), seen((0.0,), reward=4.0, weights=None)]

    own, frozen = credited(white, examples, kl=0.0)

    scale = 3**0.5 + EPS
    assert own.gains == pytest.approx((-1 / scale, -1 / scale))
    assert frozen.gains == pytest.approx((2 / scale,))
    assert (own.returns, frozen.returns) == ((1.0, 1.0), (4.0,))
    assert (own.teaches, frozen.teaches) == (True, False)
    #  All alike: nothing to be better than, but the head learns still.
    [alike] = credited(white, examples[:1], kl=0.0)
    assert (alike.gains, alike.returns, alike.teaches) == ((0.0, 0.0), (1.0, 1.0), True)


def test_what_the_head_did_not_see_stays_and_what_has_no_reward_teaches_nothing() -> None:
    unseen, unpaid = seen(()), seen((0.5,), reward=None)

    assert credited(PLAIN, [unseen, unpaid], kl=0.0) == [
        unseen,
        replace(unpaid, teaches=False),
    ]
    assert credited(PLAIN, [], kl=0.0) == []


def test_the_objective_takes_off_what_was_too_long_and_the_kl_of_each_token() -> None:
    one = seen((0.0, 0.0), drift=(1.0, 2.0))
    long = replace(one, said=replace(one.said, most=8, length=6))
    settings = {"like": "ppo", "kl": 0.1, "overlong": 4}
    critic = {"whiten": False, "trace": 1.0}
    objective = Objective.model_validate({**settings, "critic": critic})

    [found] = objective.credited([long])

    #  6 of 8 tokens, 4 before the end: -½.  Paid -.1 and then 1 - ½ - .2 = .3.
    assert found.returns == pytest.approx((0.2, 0.3))
    assert objective.look().scalar
    assert objective.look().policy


def test_the_heads_loss_by_hand() -> None:
    #  Expected 1 and 2 before training, 3 and 3.5 now; 2 and 3.5 came.  Held within 1 of before it
    #  is 2 and 3.  Errors: max(1, 0) / 2 and max(0, .25) / 2, times the weight of ½.
    one = replace(seen((1.0, 2.0)), returns=(2.0, 3.5))
    short = replace(seen((0.0,)), returns=(1.0,))
    batch = rows([one.said, short.said])
    values = torch.tensor([[3.0, 3.5], [0.5, 9.0]], requires_grad=True)
    nothing = torch.zeros(2, 2)

    loss = PLAIN.loss(Scores(nothing, nothing, nothing, value=values), batch, [one, short])

    assert loss[batch.mask].tolist() == pytest.approx([0.25, 0.0625, 0.0625])
    loss[batch.mask].sum().backward()
    #  ½ · (value - return) where the worse of the two errors is the free one's; else it is held.
    assert values.grad is not None
    assert values.grad.tolist() == [[0.5, 0.0], [-0.25, 0.0]]


def test_values_stand_by_their_tokens() -> None:
    batch = rows([seen((0.0, 0.0)).said, seen((0.0,)).said])

    assert by_token([(1.0, 2.0), (3.0,)], batch).tolist() == [[1.0, 2.0], [3.0, 0.0]]


def test_ppo_moves_the_head_and_the_policy(tiny: Path, tmp_path: Path) -> None:
    method = CaT(objective=Objective(like="ppo"))
    examples = [
        rollout(i, float(i == 0), (20 + i, 2), episode=f"e{e}") for e in range(2) for i in range(3)
    ]
    pupil = learner(tiny, scalar=True)
    before = {name: tensor.clone() for name, tensor in pupil.tensors().items()}
    settings = FIT.model_copy(update={"epochs": 6})

    steps = learnt(pupil, method, examples, tiny, tmp_path, settings)

    moved = {
        name for name, tensor in pupil.tensors().items() if not torch.equal(tensor, before[name])
    }
    assert {f"{SCALAR}.weight", f"{SCALAR}.bias"} < moved
    assert steps[-1][1]["loss"] < steps[0][1]["loss"]
    [kept] = tmp_path.glob("step-*")
    assert torch.equal(tensors(kept)[f"{SCALAR}.bias"], pupil.tensors()[f"{SCALAR}.bias"])


def test_what_was_cut_off_is_dropped_with_a_value_head_too() -> None:
    cut = seen((0.2, 0.4))
    cut = replace(cut, said=replace(cut.said, finish="length"))

    taught = [
        [r.teaches for r in Objective.model_validate(settings).credited([cut, seen((0.1,))])]
        for settings in ({"like": "ppo"}, {"like": "ppo", "cut": "drop"})
    ]

    assert taught == [[True, True], [False, True]]
