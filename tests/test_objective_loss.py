"""The objective: its losses by hand."""

from dataclasses import replace
from math import exp, log
from typing import Any, Literal

import pytest
import torch
from crediting import objective, rollout
from torch import Tensor

from moot.training.data.examples import Known, Rollout
from moot.training.model.rows import rows
from moot.training.model.types import Rows, Scores
from moot.training.policy_gradient.correction import Correction

LN2 = log(2)

# Two completions, of one token and of three, at advantages of 2 and -1.

GRADED = [rollout(1.0, tokens=(5,), advantage=2.0), rollout(0.0, tokens=(4, 5, 6), advantage=-1.0)]
LOGP = ((-1.0,), (-1.0, -2.0, -3.0))


def loss_of(
    settings: Any, batch: list[Rollout] = GRADED, entropy: Tensor | None = None
) -> tuple[Tensor, Tensor, dict[str, Tensor], Tensor]:
    """Return (2,) losses and sizes, the metrics, and (2, 3) the gradient of the mean by logp."""
    found: Rows = rows([r.said for r in batch])
    logp = torch.tensor([[*LOGP[0], 0.0, 0.0], LOGP[1]], requires_grad=True)
    nats = torch.zeros(2, 3) if entropy is None else entropy
    losses, metrics = objective(settings).loss(Scores(logp, nats, nats), found, batch)
    sizes = objective(settings).sizes(found)
    (losses.sum() / sizes.sum()).backward()
    assert logp.grad is not None
    return losses.detach(), sizes, dict(metrics), logp.grad


def known(kind: Literal["logp", "anchor"], by: float) -> list[Rollout]:
    """Return the two completions with what is known of them: `by` nats beside what is now."""
    found: list[Rollout] = []
    for graded, row in zip(GRADED, LOGP, strict=True):
        then = tuple(x + by for x in row)
        view = Known(logp=then) if kind == "logp" else Known(anchor=then)
        found.append(replace(graded, said=replace(graded.said, known=view)))
    return found


# At a ratio of 1 a token's loss is -A and its gradient too: -2, and 1, 1, 1.
#   sequence: means -2 and 1, halved: -½.
#   token: sums -2 and 3, over 4 tokens: ¼.
#   budget of 4: -2/4 and 3/4, halved: 1/8.
@pytest.mark.parametrize(
    ("settings", "losses", "sizes", "gradient"),
    [
        ({"mean": "sequence"}, [-2.0, 1.0], [1.0, 1.0], [[-1.0, 0.0, 0.0], [1 / 6] * 3]),
        ({"mean": "token"}, [-2.0, 3.0], [1.0, 3.0], [[-0.5, 0.0, 0.0], [1 / 4] * 3]),
        (
            {"mean": "budget", "budget": 4},
            [-0.5, 0.75],
            [1.0, 1.0],
            [[-0.25, 0.0, 0.0], [1 / 8] * 3],
        ),
    ],
)
@pytest.mark.parametrize("ratio", ["token", "mean", "sum"])
def test_the_loss_of_the_policy_that_spoke_by_hand(
    ratio: str,
    settings: dict[str, Any],
    losses: list[float],
    sizes: list[float],
    gradient: list[list[float]],
) -> None:
    found, counted, metrics, slope = loss_of({"kl": 0.0, "ratio": ratio, **settings})

    assert found.tolist() == losses
    assert counted.tolist() == sizes
    if ratio != "sum":  # there each of three tokens moves the ratio of all three
        torch.testing.assert_close(slope, torch.tensor(gradient))
    else:
        torch.testing.assert_close(slope, torch.tensor(gradient) * torch.tensor([[1.0], [3.0]]))
    assert metrics["reward"].tolist() == [1.0, 0.0]
    assert metrics["clip_fraction"].tolist() == [0.0, 0.0]


def test_a_budget_that_is_left_out_is_the_most_tokens_a_completion_might_have_had() -> None:
    batch = [
        replace(one, said=replace(one.said, most=most))
        for one, most in zip(GRADED, (2, 6), strict=True)
    ]
    settings = {"kl": 0.0, "mean": "budget"}

    own, given, unknown = (
        loss_of(*of)[0].tolist()
        for of in ((settings, batch), ({**settings, "budget": 4}, batch), (settings, GRADED))
    )

    # sums of -2 and 3, over 2 and 6; over 4; and over 512, where nobody knows
    assert (own, given, unknown) == ([-1.0, 0.5], [-0.5, 0.75], [-2 / 512, 3 / 512])


def test_a_policy_that_moved_is_clipped_by_hand() -> None:
    # twice as likely: the good one is held at 1.2 · 2, the bad one loses its whole 2 · 1
    batch = known("logp", by=-LN2)

    found, _, metrics, gradient = loss_of({"kl": 0.0}, batch)

    assert found.tolist() == pytest.approx([-2.4, 2.0], rel=1e-6)
    assert metrics["clip_fraction"].tolist() == [1.0, 0.0]
    torch.testing.assert_close(gradient, torch.tensor([[0.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]))
    dual, *_ = loss_of({"kl": 0.0, "dual_clip": 1.5}, batch)
    assert dual.tolist() == pytest.approx([-2.4, 1.5], rel=1e-6)


@pytest.mark.parametrize(("ratio", "w"), [("token", 1 / 2), ("mean", 1 / 2), ("sum", 1 / 8)])
def test_the_ratio_of_a_completion_by_hand(ratio: str, w: float) -> None:
    # half as likely, token by token; the good one, of one token, moved the wrong way: ½ · 2;
    # the bad one's three tokens are held at 0.8 however they are taken together
    found, *_ = loss_of({"kl": 0.0, "ratio": ratio}, known("logp", by=LN2))
    assert found.tolist() == pytest.approx([-1.0, 0.8], rel=1e-6)

    wide, *_ = loss_of({"kl": 0.0, "ratio": ratio, "clip_low": 0.99}, known("logp", by=LN2))
    assert wide.tolist() == pytest.approx([-1.0, w], rel=1e-6)


@pytest.mark.parametrize(("estimator", "nats"), [("k1", -LN2), ("k2", LN2**2 / 2), ("k3", 1 - LN2)])
def test_the_kl_in_the_loss_by_hand(estimator: str, nats: float) -> None:
    # the anchor holds every token twice as likely: x = ln 2
    settings = {"kl": 0.1, "kl_by": estimator}

    found, *_ = loss_of(settings, known("anchor", by=LN2))
    by_token, *_ = loss_of({**settings, "mean": "token"}, known("anchor", by=LN2))
    in_reward, *_ = loss_of({**settings, "kl_in": "reward"}, known("anchor", by=LN2))

    assert found.tolist() == pytest.approx([-2 + 0.1 * nats, 1 + 0.1 * nats], rel=1e-6)
    assert by_token.tolist() == pytest.approx([-2 + 0.1 * nats, 3 + 0.3 * nats], rel=1e-6)
    assert in_reward.tolist() == [-2.0, 1.0]


def test_the_entropy_bonus_by_hand() -> None:
    # 0.1 · 2 nats; 0.1 · (1 + 2 + 3) / 3; what stands under padding doesn't count
    entropy = torch.tensor([[2.0, 50.0, 50.0], [1.0, 2.0, 3.0]], requires_grad=True)

    found, *_ = loss_of({"kl": 0.0, "entropy": 0.1}, entropy=entropy)

    assert found.tolist() == pytest.approx([-2.2, 0.8], rel=1e-6)
    assert entropy.grad is not None  # of a mean of two: each -0.1 / 2, in thirds for the second
    wanted = torch.tensor([[-0.05, 0.0, 0.0], [-0.05 / 3] * 3])
    torch.testing.assert_close(entropy.grad, wanted)


# The trainer holds every token 1.5 times as likely as the engine said: 1.5 below a cap of 2;
# together the second's three tokens are 1.5³ = 3.375 times as likely.  The KL, of 1 - ln 2 nats at
# x = ln 2 each, is not corrected.
@pytest.mark.parametrize(
    ("correct", "factors"),
    [
        (Correction(), [1.5, 1.5]),
        (Correction(cap=1.2), [1.2, 1.2]),
        (Correction(how="mask", cap=1.2), [0.0, 0.0]),
        (Correction(level="sequence"), [1.5, 2.0]),
        (Correction(level="sequence", how="mask"), [1.5, 0.0]),
    ],
)
def test_the_correction_by_hand(correct: Correction, factors: list[float]) -> None:
    batch: list[Rollout] = []
    for graded, row in zip(GRADED, LOGP, strict=True):
        near = Known(logp=row, anchor=tuple(x + LN2 for x in row))
        told = tuple(x - log(1.5) for x in row)
        batch.append(replace(graded, said=replace(graded.said, known=near, logprobs=told)))

    found, _, metrics, _ = loss_of({"kl": 0.1, "correct": correct}, batch)

    kl = 0.1 * (1 - LN2)
    assert found.tolist() == pytest.approx([-2 * factors[0] + kl, factors[1] + kl], rel=1e-5)
    assert metrics["correction"].tolist() == pytest.approx(factors, rel=1e-6)


def test_where_the_engine_said_nothing_nothing_is_corrected() -> None:
    found, _, metrics, _ = loss_of({"kl": 0.0, "correct": {}}, known("logp", by=0.0))

    assert found.tolist() == [-2.0, 1.0]
    assert metrics["correction"].tolist() == [1.0, 1.0]


def test_beside_an_engine_that_told_what_another_didnt_tell_is_not_corrected() -> None:
    silent, told = known("logp", by=0.0)
    told = replace(told, said=replace(told.said, logprobs=tuple(x - log(1.5) for x in LOGP[1])))

    found, _, metrics, _ = loss_of({"kl": 0.0, "correct": {}}, [silent, told])

    assert found.tolist() == pytest.approx([-2.0, 1.5], rel=1e-6)
    assert metrics["correction"].tolist() == pytest.approx([1.0, 1.5], rel=1e-6)


def test_a_policy_not_known_before_training_is_the_one_that_spoke() -> None:
    alone = [rollout(0.0, advantage=-1.0, tokens=(4, 5), logprobs=(-1.0, -1.0))]
    logp = torch.tensor([[-2.0, -3.0]], requires_grad=True)
    nothing = torch.zeros(1, 2)

    losses, metrics = objective({"kl": 0.0, "correct": {"cap": 1.0}}).loss(
        Scores(logp, nothing, nothing), rows([alone[0].said]), alone
    )

    # ratios of 1, but the engine's words are exp(-1) and exp(-2) times as likely here
    mean = (exp(-1) + exp(-2)) / 2
    assert losses.item() == pytest.approx(mean, rel=1e-6)
    assert metrics["correction"].item() == pytest.approx(mean, rel=1e-6)
