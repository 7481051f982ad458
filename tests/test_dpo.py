"""DPO and its family: which pairs an episode teaches, the labels, and that every member learns."""

from math import exp, log
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from told import FIT, episode, learner, learnt, pair, turn, words

from moot.agents.embedded.tokens import Tokens
from moot.agents.types import Message
from moot.protocols.types import Preference
from moot.training.data.examples import Known, Pair, Said
from moot.training.data.preferences import pairs
from moot.training.losses import policy as losses
from moot.training.methods.dpo import DPO, FREE, OPTIONS
from moot.training.model.rows import columns, rows
from moot.training.model.types import Scores
from moot.training.types import Look

VARIANTS: list[Any] = list(DPO.model_json_schema()["properties"]["variant"]["enum"])


def logistic(x: float) -> float:
    """-log sigmoid(x)."""
    return log(1 + exp(-x))


def loss_of(method: DPO, probability: float = 1.0) -> tuple[float, dict[str, float]]:
    """The loss of a chosen reply of two tokens, 1 + 2 nats likelier than under the anchor, over a
    rejected one of one token, 1 nat less likely: D = 3 + 1.  Beside the policy that the cycle began
    with: .5 + .5."""
    known = [Known(anchor=(-2.0, -3.0), logp=(-1.5, -1.0)), Known(anchor=(-1.0,), logp=(-1.5,))]
    chosen, rejected = (
        Said((), "", tokens=tokens, prompt_tokens=(7,), known=anchor)
        for tokens, anchor in zip([(8, 9), (5,)], known, strict=True)
    )
    one = pair("e", chosen, rejected, probability=probability)
    logp = torch.tensor([[-1.0, -1.0], [-2.0, 99.0]])
    scores = Scores(logp, logp, logp)
    found, metrics = method.loss(scores, rows(columns([one])), [one])
    return found.item(), {name: value.item() for name, value in metrics.items()}


def test_a_variant_without_an_anchor_does_not_heed_one_that_a_guard_has_asked() -> None:
    # Means of -1 and -2 nats a token, beta 2.5 and a margin of 1.375: 2.5 - 1.375 = 1.125.
    loss, _ = loss_of(DPO(variant="simpo"))

    assert loss == pytest.approx(log(1 + exp(-1.125)), rel=1e-5)


# What an episode teaches.


def test_both_sides_reply_to_what_one_was_asked() -> None:
    told = episode(
        [
            turn(0, "4", asked="first", persona="kind", prompt_tokens=(1, 2)),
            turn(1, "so 4", asked="then", tokens=(8,), prompt_tokens=(1, 3), temperature=0.7),
            turn(2, "5", asked="other", tokens=(9,), weights="v", temperature=0.3),
        ],
        preferences=(Preference(asked=0, chosen=1, rejected=2, probability=0.8, by=(7, 8)),),
    )

    [found] = DPO().examples(told)

    asked = (Message("system", "kind"), Message("user", "first"))
    assert found.chosen.prompt == found.rejected.prompt == asked
    assert found.chosen.prompt_tokens == found.rejected.prompt_tokens == (1, 2)
    assert (found.chosen.text, found.chosen.tokens) == ("so 4", (8,))
    assert (found.rejected.text, found.rejected.tokens) == ("5", (9,))
    assert (found.turns, found.agents) == ((1, 2), ("p1", "p2"))
    assert (found.probability, found.judges) == (0.8, (7, 8))
    assert (found.chosen.temperature, found.rejected.temperature) == (1, 1)  # of the policy itself


@pytest.mark.parametrize(
    ("weights", "speakers"),
    [(("w", "v"), ("w", "v")), (("w", "w"), ("w",)), ((None, "v"), ("v",)), ((None, None), ())],
)
def test_who_learns_from_a_pair_said_one_side_of_it(
    weights: tuple[str | None, ...], speakers: tuple[str, ...]
) -> None:
    turns = [turn(i, str(i), weights=name) for i, name in enumerate(weights)]

    [found] = DPO().examples(episode(turns, preferences=(Preference(0, 0, 1),)))

    assert found.speakers == speakers


def test_ties_and_doubtful_preferences_are_left_out() -> None:
    turns = [turn(i, str(i)) for i in range(4)]
    likely = [Preference(0, 0, i, p) for i, p in ((1, 0.5), (2, 0.6), (3, 0.9))]
    told = episode(turns, preferences=tuple(likely))

    def kept(method: DPO) -> list[int]:
        return [one.turns[1] for one in method.examples(told)]

    assert kept(DPO()) == [2, 3]
    assert kept(DPO(sure=0.6)) == [2, 3]
    assert kept(DPO(sure=0.7)) == [3]
    assert kept(DPO(sure=1.0)) == []
    assert kept(DPO(talk=False, file="likes.jsonl")) == []
    assert pairs(episode(turns)) == []


# Labels.


@pytest.mark.parametrize(
    ("settings", "probability", "expected"),
    [
        #  β D = .5 · 4 = 2, hard: what the judges thought of it doesn't count.
        ({}, 0.8, logistic(2)),
        ({"soft": True}, 0.8, 0.8 * logistic(2) + 0.2 * logistic(-2)),
        ({"noise": 0.1}, 0.8, 0.9 * logistic(2) + 0.1 * logistic(-2)),
        #  .8 that it is so and .1 that the label is wrong: .8 · .9 + .2 · .1 = .74.
        ({"soft": True, "noise": 0.1}, 0.8, 0.74 * logistic(2) + 0.26 * logistic(-2)),
        ({"variant": "robust", "noise": 0.1}, 1, (0.9 * logistic(2) - 0.1 * logistic(-2)) / 0.8),
        #  Means of tokens: 3 / 2 + 1 = 2.5.
        ({"normalised": True}, 1, logistic(1.25)),
        ({"against": "cycle"}, 1, logistic(0.5)),
        #  Of means too: (2.5 - 1 / 2β)².
        ({"variant": "ipo"}, 1, 2.25),
        ({"variant": "hinge", "beta": 0.2}, 1, 0.2),
        #  (3 - .3 / .5)² + (-1 + .3 / .5)².
        ({"variant": "sppo", "soft": True}, 0.8, 2.4**2 + 0.4**2),
        #  The chosen reply's tokens have -1 nat each in the mean.
        ({"sft": 0.3}, 1, logistic(2) + 0.3),
        #  Odds of means, of e⁻¹ and e⁻²: 1/(e - 1) and 1/(e² - 1), and so e + 1; and sft's 1.
        ({"variant": "orpo"}, 1, 0.5 * log(1 + 1 / (exp(1) + 1)) + 1),
        ({"variant": "orpo", "sft": 0}, 1, 0.5 * log(1 + 1 / (exp(1) + 1))),
    ],
)
def test_losses_by_hand(settings: dict[str, Any], probability: float, expected: float) -> None:
    method = DPO.model_validate({"beta": 0.5, **settings})

    assert loss_of(method, probability)[0] == pytest.approx(expected, rel=1e-5)


def test_what_is_seen_of_a_pair_by_hand() -> None:
    seen = loss_of(DPO(beta=0.5))[1]

    rewards = {"margin": 2, "chosen_reward": 1.5, "rejected_reward": -0.5}
    assert seen == {"preferred": 1, "chosen_logp": -1, "rejected_logp": -2, **rewards}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_anchor_is_asked_for_where_the_loss_needs_it(variant: Any, tiny: Path) -> None:
    assert DPO(variant=variant).looks(Tokens(tiny)) == Look(anchor=variant not in FREE)
    if variant not in FREE:
        assert DPO(variant=variant, against="cycle").looks(Tokens(tiny)) == Look(policy=True)


# Learning.


def pairs_to_learn() -> list[Pair]:
    return [pair(f"e{i}", words("a", (20, 21, 2)), words("b", (30, 2))) for i in range(2)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_sets_the_chosen_further_above_the_rejected(
    variant: Any, tiny: Path, tmp_path: Path
) -> None:
    #  DiscoPOP's loss rises just around D = 0, where a policy starts out: there it is pushed away.
    method = DPO(variant=variant, noise=0.1 if variant in OPTIONS["noise"] else 0)
    pupil, examples = learner(tiny), pairs_to_learn()
    batch = rows(columns(examples[:1]), Tokens(tiny))

    def lead() -> float:
        with torch.no_grad():
            logp = pupil.policy(batch).logp
        #  As the loss sees replies: means of tokens, or sums.
        per = losses.mean if variant in ("ipo", "simpo", "orpo") else losses.total
        chosen, rejected = per(logp, batch.mask).tolist()
        return chosen - rejected

    before = lead()
    [(_, metrics)] = learnt(pupil, method, examples, tiny, tmp_path)

    assert metrics["grad_norm"] > 1e-4
    assert abs(metrics["loss"]) < 100
    assert metrics["chosen_reward"] - metrics["rejected_reward"] == pytest.approx(metrics["margin"])
    assert "kl" not in metrics  # of what it is taught not to say it can't be told
    assert metrics.get("kl_least", 0.0) == pytest.approx(0, abs=1e-5)  # the anchor still
    assert ("kl_least" in metrics) == (variant not in FREE)
    assert (lead() > before) == (variant != "discopop")


def test_a_later_cycle_is_measured_against_the_policy_it_began_with(
    tiny: Path, tmp_path: Path
) -> None:
    examples, margins = pairs_to_learn(), dict[str, float]()
    learnt(learner(tiny), DPO(), examples, tiny, tmp_path / "first")
    for against in ("start", "cycle"):
        method = DPO(against=against)
        again = learner(tiny, weights=next((tmp_path / "first").glob("step-*")))
        steps = learnt(again, method, examples, tiny, tmp_path / against)
        margins[against] = steps[0][1]["margin"]

    assert margins["cycle"] == pytest.approx(0, abs=1e-5)
    assert margins["start"] > 0.01


def test_imitation_of_the_chosen_keeps_it_likely(tiny: Path, tmp_path: Path) -> None:
    def chosen(sft: float, name: str) -> float:
        pupil, method = learner(tiny), DPO(sft=sft)
        settings = FIT.model_copy(update={"epochs": 4})
        steps = learnt(pupil, method, pairs_to_learn(), tiny, tmp_path / name, settings)
        assert len(steps) == 4
        return steps[-1][1]["chosen_logp"]

    assert chosen(1.0, "with") > chosen(0.0, "without")


def test_without_talk_and_without_a_file_there_is_nothing_to_learn_from() -> None:
    with pytest.raises(ValueError, match="name a `file`, or leave `talk` true"):
        DPO(talk=False)
    assert DPO(talk=False, file="likes.jsonl").needs is None
    assert DPO(file="likes.jsonl").needs == DPO().needs == "preferences"
    assert DPO().given() is None


OTHERWISE = {"soft": True, "noise": 0.1, "gamma": 1.0, "against": "cycle", "normalised": True}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_option_that_would_change_nothing_is_an_error(option: str, variant: Any) -> None:
    given = {"variant": variant, option: OTHERWISE[option]}
    if variant in OPTIONS[option]:
        before, after = (
            loss_of(DPO.model_validate(one), 0.8)[0] for one in ({"variant": variant}, given)
        )
        assert before != after
    else:
        with pytest.raises(ValidationError, match=f"`{option}` means nothing to {variant}"):
            DPO.model_validate(given)


def test_words_read_by_another_engine_keep_no_ids_of_its_prompt() -> None:
    told = episode(
        [
            turn(0, "4", tokens=(8,), prompt_tokens=(1, 2)),
            turn(1, "5", tokens=(9,), prompt_tokens=(3, 4), engine="other"),
        ],
        preferences=(Preference(asked=0, chosen=0, rejected=1),),
    )

    [found] = DPO().examples(told)

    assert (found.chosen.prompt_tokens, found.chosen.tokens) == ((1, 2), (8,))
    assert (found.rejected.prompt_tokens, found.rejected.tokens) == ((), (9,))
