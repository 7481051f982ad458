"""The objective: what its names stand for, whom it credits, and its losses by hand."""

from dataclasses import replace
from math import exp, log
from typing import Any, Literal

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from moot.agents.types import Message
from moot.training.credit import EPS
from moot.training.objective import LIKE, Correction, Objective
from moot.training.rows import rows
from moot.training.types import Known, Rollout, Rows, Said, Scores

LN2 = log(2)


def objective(settings: Any) -> Objective:
    return Objective.model_validate(settings)


def rollout(reward: float | None, *, tokens: tuple[int, ...] = (8, 9), **named: Any) -> Rollout:
    """Return a completion of `tokens` after the prompt's one, in a group of its own choice."""
    of_said = {
        key: named.pop(key) for key in ("known", "finish", "most", "logprobs") if key in named
    }
    asked = (Message("user", "?"),)
    words = Said(asked, "!", tokens=tokens, prompt_tokens=(7,), length=len(tokens), **of_said)
    usual: dict[str, Any] = {"episode": "e", "turn": 0, "round": 1, "weights": "w"}
    return Rollout(agent="a", version=1, said=words, reward=reward, **{**usual, **named})


def advantages(settings: Any, rollouts: list[Rollout]) -> list[float]:
    return [r.advantage for r in objective(settings).credited(rollouts)]


def taught(settings: Any, rollouts: list[Rollout]) -> list[bool]:
    return [r.teaches for r in objective(settings).credited(rollouts)]


# Settings.


def test_a_name_stands_for_its_settings() -> None:
    assert objective("dapo") == Objective(
        like="dapo", clip_high=0.28, mean="token", kl=0.0, cut="drop"
    )
    assert objective({"like": "dapo"}) == objective("dapo")
    assert objective({}) == objective("grpo") == Objective()


def test_what_is_said_beside_a_name_has_the_last_word() -> None:
    found = objective({"like": "rloo", "kl": 0.1, "scale": "batch"})

    assert (found.kl, found.scale) == (0.1, "batch")
    assert (found.baseline, found.ratio, found.kl_in, found.kl_by) == (
        "others",
        "sum",
        "reward",
        "k1",
    )


@pytest.mark.parametrize("name", LIKE)
def test_every_name_survives_being_written_out(name: str) -> None:
    found = objective(name)

    assert found.like == name
    assert objective(found.model_dump()) == found


@pytest.mark.parametrize(
    "settings",
    [
        "pppo",
        {"like": "pppo"},
        {"like": ["dapo"]},
        {"like": "grpo", "epsilon": 0.2},
        {"clip_low": 1.0},
        {"clip_high": 0.0},
        {"dual_clip": 1.0},
        {"kl": -0.1},
        {"budget": 0},
        {"correct": {"cap": 0.5}},
        {"kl_by": "k4"},
        7,
        None,
    ],
)
def test_what_means_nothing_is_an_error(settings: Any) -> None:
    with pytest.raises(ValidationError):
        objective(settings)


@pytest.mark.parametrize(
    ("settings", "policy", "anchor", "entropy"),
    [
        ("grpo", False, True, False),
        ("dapo", False, False, False),
        ("rloo", True, True, False),
        ({"like": "rloo", "kl": 0.0}, False, False, False),
        ({"kl": 0.0, "correct": {}}, True, False, False),
        ({"like": "gspo", "entropy": 0.01}, False, False, True),
    ],
)
def test_it_looks_only_at_what_it_needs(
    settings: Any, policy: bool, anchor: bool, entropy: bool
) -> None:
    look = objective(settings).look()

    assert (look.policy, look.anchor, look.entropy, look.old) == (policy, anchor, entropy, True)


# Credit.


def test_a_group_is_a_round_of_an_episode() -> None:
    # each pair is apart by 1: ½ from its mean, over a standard deviation of 1/√2
    spread = 0.5 / (0.5**0.5 + EPS)
    batch = [
        rollout(1.0),
        rollout(5.0, round=2),
        rollout(7.0, episode="f"),
        rollout(0.0),
        rollout(6.0, round=2),
        rollout(8.0, episode="f"),
    ]

    found = advantages("grpo", batch)

    assert found == pytest.approx([spread, -spread, -spread, -spread, spread, spread], rel=1e-6)


def test_only_advantage_and_teaches_change() -> None:
    batch = [rollout(1.0, turn=3, judges=(4, 5)), rollout(0.0, turn=4)]

    found = objective("dr_grpo").credited(batch)

    assert found == [replace(batch[0], advantage=0.5), replace(batch[1], advantage=-0.5)]


def test_a_frozen_agents_reply_counts_in_the_group_and_teaches_nobody() -> None:
    # the mean is 1/2 with it, and would be 1/4 of the others' alone
    batch = [rollout(0.5), rollout(0.0), rollout(1.0, weights=None)]
    settings = {"like": "dr_grpo", "kl": 0.0}

    assert advantages(settings, batch) == [0.0, -0.5, 0.5]
    assert taught(settings, batch) == [False, True, False]


def test_equal_rewards_teach_only_where_the_loss_has_more_than_rewards() -> None:
    equals = [rollout(0.7), rollout(0.7)]

    assert advantages("grpo", equals) == [0.0, 0.0]
    assert taught({"kl": 0.0}, equals) == [False, False]
    assert taught({"kl": 0.1}, equals) == [True, True]
    assert taught({"kl": 0.1, "kl_in": "reward"}, equals) == [False, False]
    assert taught({"kl": 0.0, "entropy": 0.01}, equals) == [True, True]


def test_a_reply_without_a_reward_stays_as_it_is_and_in_no_group() -> None:
    batch = [rollout(None, advantage=9.0), rollout(1.0), rollout(0.0), rollout(None)]

    found = objective({"like": "dr_grpo"}).credited(batch)

    assert [found[0], found[3]] == [batch[0], batch[3]]
    assert [r.advantage for r in found[1:3]] == [0.5, -0.5]


@pytest.mark.parametrize("name", LIKE)
def test_nothing_is_credited_to_nobody(name: str) -> None:
    alone = [rollout(None)]

    assert objective(name).credited([]) == []
    assert objective(name).credited(alone) == alone


def test_what_ran_into_its_most_tokens_may_be_dropped_and_still_counts_in_the_group() -> None:
    batch = [rollout(1.0, finish="length"), rollout(0.0)]

    assert taught({"cut": "drop", "kl": 0.1}, batch) == [False, True]
    assert taught({"cut": "keep", "kl": 0.1}, batch) == [True, True]
    assert advantages({"like": "dr_grpo", "cut": "drop"}, batch) == [0.5, -0.5]


def test_the_overlong_penalty_by_hand() -> None:
    # over the last 4 of at most 8 tokens: 6 tokens lose (8 - 4 - 6) / 4 = -½, 2 nothing, and where
    # the most is not known nothing is lost; rewards ½, 1, 1: mean 5/6
    batch = [
        rollout(1.0, tokens=(9,) * 6, most=8),
        rollout(1.0, tokens=(9,) * 2, most=8),
        rollout(1.0, tokens=(9,) * 8),
    ]

    found = advantages({"like": "dr_grpo", "overlong": 4}, batch)

    assert found == pytest.approx([-1 / 3, 1 / 6, 1 / 6], rel=1e-6)
    assert advantages({"like": "dr_grpo"}, batch) == [0.0, 0.0, 0.0]


def test_the_kl_in_the_reward_by_hand() -> None:
    # summed over tokens the first is 1 + 2 = 3 nats likelier than under the anchor, the second 1
    # less: rewards 1 - ½·3 = -½ and 0 + ½ = ½; each against the other
    batch = [
        rollout(1.0, known=Known(logp=(-1.0, -1.0), anchor=(-2.0, -3.0))),
        rollout(0.0, known=Known(logp=(-3.0,), anchor=(-2.0,)), tokens=(9,)),
    ]

    assert advantages({"like": "rloo", "kl": 0.5}, batch) == [-1.0, 1.0]
    assert advantages({"like": "rloo", "kl": 0.5, "kl_in": "loss"}, batch) == [1.0, -1.0]
    assert advantages({"like": "rloo", "kl": 0.0}, batch) == [1.0, -1.0]


def test_batch_scale_by_hand() -> None:
    # without a baseline: mean ½, standard deviation 1 (squared deviations 9/4 + 3/4 = 3 over 3)
    batch = [rollout(2.0), rollout(0.0), rollout(0.0, episode="f"), rollout(0.0, episode="g")]

    found = advantages({"like": "reinforce++", "kl": 0.0}, batch)

    assert found == pytest.approx([1.5 / (1 + EPS), *[-0.5 / (1 + EPS)] * 3], rel=1e-6)


def test_batch_scale_after_a_groups_baseline_by_hand() -> None:
    # against their groups ±1 and ±2, of mean 0: 10/3 is the unbiased variance
    batch = [rollout(2.0), rollout(0.0), rollout(9.0, episode="f"), rollout(5.0, episode="f")]
    std = (10 / 3) ** 0.5 + EPS

    found = advantages({"scale": "batch"}, batch)

    assert found == pytest.approx([1 / std, -1 / std, 2 / std, -2 / std], rel=1e-6)


# Loss.  Two completions, of one token and of three, at advantages of 2 and -1.

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
