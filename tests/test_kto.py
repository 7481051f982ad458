"""KTO: what counts as liked, the loss, and that both sides learn."""

from dataclasses import replace
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch
from told import FIT, episode, learner, learnt, reply, rollout, turn, words

from moot.agents.embedded.tokens import Tokens
from moot.protocols.types import Episode, Preference, Verdict
from moot.training.data.examples import Known, Said
from moot.training.fit import graded
from moot.training.losses.policy import mean
from moot.training.methods.kto import KTO
from moot.training.model.rows import columns, rows
from moot.training.model.types import Scores


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def liked(method: KTO, told: Episode) -> list[tuple[int, float | None]]:
    return [(one.turn, one.reward) for one in method.examples(told)]


# What is liked.


def test_what_was_preferred_is_liked_and_what_was_not_is_not() -> None:
    turns = [turn(i, str(i)) for i in range(5)]
    told = episode(
        turns,
        preferences=(
            Preference(0, 0, 1, 0.9),
            Preference(0, 2, 0, 0.6),  # 0 lost once and won once, which says nothing
            Preference(0, 2, 1, 0.6),
            Preference(0, 3, 4, 0.5),  # nor does a tie
        ),
    )

    assert liked(KTO(), told) == [(1, 0), (2, 1)]


def test_both_are_replies_to_what_the_preference_names() -> None:
    turns = [turn(0, "41"), turn(1, "no", asked="Criticise it.")]
    turns.append(turn(2, "42", asked="Again?", temperature=0.7))
    told = episode(turns, preferences=(Preference(0, 2, 0, 0.9),))

    found = KTO().examples(told)

    assert [(one.turn, one.reward) for one in found] == [(0, 0), (2, 1)]
    assert all(one.said.prompt == turns[0].prompt for one in found)
    assert all(one.said.temperature == 1 for one in found)  # it is of the policy, however sampled


@pytest.mark.parametrize(
    ("on", "threshold", "expected"),
    [
        ("grade", 0.5, [(0, 1), (1, 0)]),
        ("grade", 0.8, [(0, 0), (1, 0)]),  # over it, not at it
        ("match", 0.5, [(0, 0), (3, 1), (4, 0)]),  # what can't be read agrees with none
    ],
)
def test_a_grade_or_an_agreement_is_liked_over_the_threshold(
    on: Any, threshold: float, expected: list[tuple[int, float]]
) -> None:
    verdicts = (
        Verdict(0, "grade", 0.8),
        Verdict(1, "grade", 0.2),
        Verdict(2, "grade", None),  # what can't be read is neither
        Verdict(1, "grade", 1.0, by=4),  # nor is one judge's word
        Verdict(0, "match", 0.0, by=4),
        Verdict(3, "match", 1.0),
        Verdict(4, "match", None),
        Verdict(5, "match", None),  # a judge couldn't compare it
    )
    texts = ["0", "1", "2", "3", "?", "5"]
    told = episode([turn(i, text) for i, text in enumerate(texts)], verdicts=verdicts)

    assert liked(KTO(on=on, threshold=threshold), told) == expected


@pytest.mark.parametrize(
    ("on", "needs"), [("preferences", "preferences"), ("grade", "grades"), ("match", "reference")]
)
def test_what_is_liked_is_what_a_protocol_must_say(on: Any, needs: str) -> None:
    assert KTO(on=on).needs == needs
    assert KTO(on=on).examples(episode([turn(0, "4")])) == []
    assert KTO(on=on).given() is None
    assert KTO(on=on).graded([]) == []


# The loss.


def test_losses_by_hand() -> None:
    #  Two replies of a token, liked and not, 3 and 1 nats likelier than under the anchor.
    said = Said((), "", tokens=(8,), prompt_tokens=(7,), known=Known(anchor=(-4.0,)))
    examples = [replace(rollout(i, 1.0 - i, (8,)), said=said, drift=1.5) for i in range(2)]
    logp = torch.tensor([[-1.0], [-3.0]])
    method = KTO(beta=0.5, desirable=2.0, undesirable=3.0)

    losses, metrics = method.loss(Scores(logp, logp, logp), rows(columns(examples)), examples)

    seen = {name: values.tolist() for name, values in metrics.items()}
    assert losses.tolist() == pytest.approx([2 * sigmoid(-0.75), 3 * sigmoid(-0.25)])
    assert seen["baseline"] == [1.5, 1.5]
    assert seen["desirable_reward"] == pytest.approx([0.75, float("nan")], nan_ok=True)
    assert seen["undesirable_reward"] == pytest.approx([float("nan"), -0.25], nan_ok=True)


# Learning.


def test_what_was_liked_gets_likelier_and_what_was_not_less(tiny: Path, tmp_path: Path) -> None:
    pupil = learner(tiny)
    examples = [reply(i, f"question {i // 2}", f"e{i // 2}") for i in range(4)]
    batch = rows(columns(examples), Tokens(tiny))
    before = pupil.policy(batch).logp.sum(-1)
    scores = pupil.policy(batch, entropy=True)
    sure = mean(scores.entropy, batch.mask).mean().item()

    [(_, metrics)] = learnt(pupil, KTO(), examples, tiny, tmp_path)

    assert metrics["entropy"] == pytest.approx(sure)  # of what was said, not of what is beside it
    change = pupil.policy(batch).logp.sum(-1) - before
    assert [c > 0 for c in change.tolist()] == [True, False, True, False]
    assert metrics["loss"] == pytest.approx(0.5)
    assert metrics["baseline"] == 0  # the policy was the anchor still


def test_one_example_alone_is_learnt(tiny: Path, tmp_path: Path) -> None:
    pupil, encode = learner(tiny), Tokens(tiny)
    one = replace(reply(0, "a", "e"), said=words("fine"))
    before = pupil.policy(rows([one.said], encode)).logp.sum()

    steps = learnt(pupil, KTO(), [one], tiny, tmp_path)

    assert len(steps) == 1
    assert pupil.policy(rows([one.said], encode)).logp.sum() > before
    looked = graded(pupil, KTO(), KTO().graded([one]), encode, FIT, lambda _: True)
    assert looked[0].rows[0].known.anchor == looked[0].rows[1].known.anchor
