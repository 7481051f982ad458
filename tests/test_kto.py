"""KTO: what counts as liked, what is mismatched, the baseline, and that both sides learn."""

from dataclasses import replace
from math import exp
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from told import FIT, episode, learner, learnt, rollout, turn, words

from moot.agents.tokens import Tokens
from moot.agents.types import Message
from moot.protocols.types import Episode, Preference, Verdict
from moot.training.examples import Known, Rollout, Said
from moot.training.fit import graded
from moot.training.look import by_anchor, drifted
from moot.training.losses.policy import mean
from moot.training.methods.kto import KTO
from moot.training.rows import columns, rows
from moot.training.types import Scores


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def liked(method: KTO, told: Episode) -> list[tuple[int, float | None]]:
    return [(one.turn, one.reward) for one in method.examples(told)]


def reply(i: int, asked: str, name: str, **named: Any) -> Rollout:
    """The reply `i`, a token, to a question of the episode `name`."""
    one = rollout(i, float(i % 2 == 0), (10 + i,), episode=name)
    return replace(one, said=replace(one.said, prompt=(Message("user", asked),), **named))


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
    turns = [turn(0, "41"), turn(1, "no", asked="Criticise it."), turn(2, "42", asked="Again?")]
    told = episode(turns, preferences=(Preference(0, 2, 0, 0.9),))

    found = KTO().examples(told)

    assert [(one.turn, one.reward) for one in found] == [(0, 0), (2, 1)]
    assert all(one.said.prompt == turns[0].prompt for one in found)


@pytest.mark.parametrize(
    ("on", "threshold", "expected"),
    [
        ("grade", 0.5, [(0, 1), (1, 0)]),
        ("grade", 0.8, [(0, 0), (1, 0)]),  # over it, not at it
        ("match", 0.5, [(0, 0), (3, 1)]),
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
    )
    told = episode([turn(i, str(i)) for i in range(4)], verdicts=verdicts)

    assert liked(KTO(on=on, threshold=threshold), told) == expected


@pytest.mark.parametrize(
    ("on", "needs"), [("preferences", "preferences"), ("grade", "grades"), ("match", "reference")]
)
def test_what_is_liked_is_what_a_protocol_must_say(on: Any, needs: str) -> None:
    assert KTO(on=on).needs == needs
    assert KTO(on=on).examples(episode([turn(0, "4")])) == []
    assert KTO(on=on).given() is None
    assert KTO(on=on).graded([]) == []


# Mismatched completions.


def beside(examples: list[Rollout]) -> list[tuple[str, str]]:
    found = [one.beside for one in KTO().graded(examples)]
    return [(one.prompt[0].content, one.text) for one in found if one is not None]


def test_words_are_set_beside_another_episodes_question() -> None:
    #  Two episodes of three and of one reply: never a reply's own question, though replies to one
    #  question stand together.
    examples = [reply(i, "a", "e") for i in range(3)] + [reply(3, "b", "f")]

    assert beside(examples) == [("b", "0"), ("b", "1"), ("b", "2"), ("a", "3")]


def test_of_one_episode_words_are_set_beside_the_next_ones_question() -> None:
    examples = [reply(0, "a", "e"), reply(1, "b", "e")]

    assert beside(examples) == [("b", "0"), ("a", "1")]
    assert beside(examples[:1]) == [("a", "0")]


def test_nothing_is_known_of_words_in_another_place() -> None:
    read = {"prompt_tokens": (1, 2), "logprobs": (-1.0,), "engine": "main"}
    one = reply(0, "a", "e", known=Known(logp=(-1.0,), anchor=(-1.0,)), **read)
    other = reply(1, "b", "f", **{**read, "prompt_tokens": (3,)})
    far = reply(2, "c", "g", **{**read, "prompt_tokens": (900,), "engine": "big"})

    first, second, _ = KTO().graded([one, other, far])

    assert first.beside is not None
    assert first.beside.prompt_tokens == (3,)
    assert (first.beside.tokens, first.beside.logprobs) == ((10,), ())
    assert first.beside.known == Known()
    assert second.beside is not None
    assert second.beside.prompt_tokens == ()  # another model's ids: the text is read again


def test_grading_twice_keeps_what_was_set_beside() -> None:
    once = KTO().graded([reply(0, "a", "e"), reply(1, "b", "f")])

    assert KTO().graded(once) == once
    assert KTO().graded(once[:1]) == once[:1]


def test_frozen_agents_words_teach_nobody() -> None:
    frozen = replace(reply(0, "a", "e"), weights=None)

    assert [one.teaches for one in KTO().graded([frozen, reply(1, "b", "f")])] == [False, True]


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


@pytest.mark.parametrize("nats", [-3.0, 3.0])
def test_the_drift_is_of_all_the_steps_words_beside_and_never_below_nothing(
    tiny: Path, nats: float
) -> None:
    encode, pupil = Tokens(tiny), learner(tiny)
    asked = KTO().graded([reply(i, "ab"[i % 2] * (i + 1), f"e{i % 2}") for i in range(4)])
    own = [one.rows[1] for one in by_anchor(pupil, asked, encode, 1024)]
    anchor = [fmean(words.known.anchor) - nats * i for i, words in enumerate(own)]
    looked = [
        replace(one, beside=replace(words, known=Known(anchor=(thought,))))
        for one, words, thought in zip(asked, own, anchor, strict=True)
    ]

    for tokens in (1024, 1):  # in one forward pass, and in four
        found = drifted(pupil, looked, encode, tokens)

        #  0, 3, 6 and 9 nats likelier than under what was said to be the anchor, or less.
        assert [one.drift for one in found] == pytest.approx([max(0.0, 1.5 * nats)] * 4)
        assert [one.rows for one in found] == [(one.said,) for one in asked]


def test_steps_in_parts_are_the_step_as_a_whole(tiny: Path, tmp_path: Path) -> None:
    #  Of steps of all four, the later ones have drifted: parts of a row each must not have a
    #  baseline each.
    examples = [reply(i, f"question {i // 2}", f"e{i // 2}") for i in range(4)]
    fit = FIT.model_copy(update={"epochs": 4, "lr": 1e-2})

    whole, parts = (
        learnt(
            learner(tiny),
            KTO(),
            examples,
            tiny,
            tmp_path / str(tokens),
            fit.model_copy(update={"batch_tokens": tokens}),
        )
        for tokens in (1024, 1)
    )

    assert whole[-1][1]["baseline"] > 0.1
    for name in ("baseline", "loss", "grad_norm"):
        told = [[metrics[name] for _, metrics in steps] for steps in (whole, parts)]
        assert told[0] == pytest.approx(told[1], rel=1e-4, abs=1e-6)


# Learning.


def test_the_anchor_is_asked_about_both_rows(tiny: Path) -> None:
    encode = Tokens(tiny)
    examples = KTO().graded([reply(0, "a", "e"), reply(1, "b", "f")])

    found = list(by_anchor(learner(tiny), examples, encode, 1024))

    for one in found:
        assert [len(row.known.anchor) for row in one.rows] == [1, 1]
        assert one.rows[0].known.anchor != one.rows[1].known.anchor
    assert rows(columns(found), encode).anchor is not None


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
