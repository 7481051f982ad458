"""KTO's baseline: what is mismatched, and how far by that the policy has drifted."""

from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
from told import FIT, learner, learnt, reply

from moot.agents.embedded.tokens import Tokens
from moot.training.data.examples import Known, Rollout
from moot.training.look import by_anchor, drifted
from moot.training.methods.kto import KTO
from moot.training.model.rows import columns, rows
from moot.training.variety import variety


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


def test_the_anchor_is_asked_about_both_rows(tiny: Path) -> None:
    encode = Tokens(tiny)
    examples = KTO().graded([reply(0, "a", "e"), reply(1, "b", "f")])

    found = list(by_anchor(learner(tiny), examples, encode, 1024))

    for one in found:
        assert [len(row.known.anchor) for row in one.rows] == [1, 1]
        assert one.rows[0].known.anchor != one.rows[1].known.anchor
    assert rows(columns(found), encode).anchor is not None


def test_words_beside_are_no_text_that_is_twice_there() -> None:
    examples = KTO().graded([reply(i, "ab"[i // 2], "ef"[i // 2]) for i in range(4)])

    assert all(one.beside is not None for one in examples)
    assert variety(examples)["distinct"] == 1
