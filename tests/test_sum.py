"""A sum of rewards: each credited by itself, against numbers worked out by hand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from test_label_free import SIX
from told import answered

from moot.agents.errors import MootError
from moot.experiments.yaml.loading import load
from moot.protocols.types import Outcome, Verdict
from moot.training.data.examples import Known, Rollout, contrast
from moot.training.data.filed import Filed, write
from moot.training.methods import MethodChoice
from moot.training.methods.cat import CaT
from moot.training.methods.intuitor import Intuitor
from moot.training.methods.rent import RENT
from moot.training.methods.srt import SRT
from moot.training.methods.sum import Sum
from moot.training.methods.ttrl import TTRL
from moot.training.policy_gradient.credit import EPS
from moot.training.policy_gradient.objective import Objective

SCALED = Objective(kl=0)
CERTAIN = (3.0, 1.0, 1.0, 1.0, 1.0, 5.0)
SPREAD = 2.8**0.5 + EPS
"""The standard deviation of these: of 14 in squares from their mean, 2, over 5."""
BOTH = Sum(of=(TTRL(), Intuitor()), weigh=(1.0, 0.5), objective=SCALED)


def looked(rollouts: list[Rollout]) -> list[Rollout]:
    """The rollouts with how certain the policy is of each."""
    return [
        replace(r, said=replace(r.said, known=Known(certainty=CERTAIN[r.turn]))) for r in rollouts
    ]


def test_advantages_are_summed_as_each_reward_s_own_group_gives_them() -> None:
    # By vote 1 0 1 0 0 1, of mean .5 and variance 1.5 / 5; by certainty of mean 2.
    found = BOTH.graded(looked(BOTH.examples(answered(*SIX))))

    won, one = 0.5 / (0.3**0.5 + EPS), 0.5 / SPREAD
    assert [r.advantage for r in found] == pytest.approx(
        [won + one, -won - one, won - one, -won - one, -won - one, won + 3 * one]
    )
    assert [r.reward for r in found] == [1 + 1.5, 0.5, 1.5, 0.5, 0.5, 1 + 2.5]
    assert all(r.teaches for r in found)


def test_a_group_teaches_where_any_of_the_rewards_tells_its_answers_apart() -> None:
    both = Sum(of=(TTRL(), TTRL(), Intuitor()), objective=SCALED)
    apart, alike = looked(both.examples(answered("4", "4"))), looked(both.examples(answered("4")))

    assert [r.teaches for r in both.graded(apart)] == [True, True]
    assert [r.teaches for r in both.graded(alike)] == [False]


def test_scaled_advantages_are_each_method_s_alone() -> None:
    told = answered(*SIX)
    alone = [
        one.graded(looked(one.examples(told)))
        for one in (TTRL(objective=SCALED), Intuitor(objective=SCALED))
    ]

    both = Sum(of=(TTRL(), Intuitor()), objective=SCALED)
    found = both.graded(looked(both.examples(told)))

    for one, other, summed in zip(*alone, found, strict=True):
        assert summed.advantage == pytest.approx(one.advantage + other.advantage)


def test_an_answer_that_one_method_leaves_out_has_the_other_s_advantage() -> None:
    # Three of the five that can be read are no majority for SRT at .7, and TTRL is taught by two of
    # the six, who are drawn: here one of the majority and another.
    none = Sum(of=(SRT(threshold=0.7), Intuitor()), objective=SCALED)
    first = Sum(of=(TTRL(learn=2), Intuitor()), objective=SCALED)
    told = answered(*SIX)
    voted = {r.turn: r.reward for r in TTRL(learn=2).examples(told)}
    assert sorted(reward or 0 for reward in voted.values()) == [0, 1]

    by_certainty = [r.advantage for r in none.graded(looked(none.examples(told)))]
    found = [r.advantage for r in first.graded(looked(first.examples(told)))]

    one, won = 1 / SPREAD, 0.5 / (0.5**0.5 + EPS)
    alone = [one, -one, -one, -one, -one, 3 * one]
    assert by_certainty == pytest.approx(alone)
    assert found == pytest.approx(
        [
            advantage + (won if voted[i] else -won) if i in voted else advantage
            for i, advantage in enumerate(alone)
        ]
    )


def test_what_the_policy_makes_of_it_is_waited_for() -> None:
    for one in (Intuitor(), RENT(no_answer=2.0)):
        both = Sum(of=(TTRL(), one), objective=SCALED)
        found = both.graded(both.examples(answered(*SIX)))
        assert [(r.reward, r.teaches, r.advantage) for r in found] == [(None, True, 0.0)] * 6

    seen = [
        r if r.turn == 5 else replace(r, said=replace(r.said, known=Known(certainty=1.0)))
        for r in BOTH.examples(answered(*SIX))
    ]
    last = BOTH.graded(seen)[5]
    assert (last.reward, last.advantage) == (None, 0.0)


def test_judges_of_all_methods_stand_behind_an_example() -> None:
    told = answered("4", "5", "4")
    verdicts = (
        Verdict(0, "match", 1.0, by=7),
        Verdict(1, "match", 0.0, by=8),
        Verdict(2, "match", 1.0),
    )
    told = replace(told, outcome=Outcome(verdicts))

    found = Sum(of=(TTRL(), CaT()), objective=SCALED).examples(told)

    assert [r.judges for r in found] == [(7,), (8,), ()]
    assert [r.earned for r in found] == [(1.0, 1.0), (0.0, 0.0), (1.0, 1.0)]


def test_without_contrast_is_where_the_summed_advantages_are_alike() -> None:
    # The vote is for what is less certain: rewards sum to 2 each, and so do advantages.
    even = [
        replace(r, said=replace(r.said, known=Known(certainty=2.0 if r.turn == 1 else 1.0)))
        for r in Sum(of=(TTRL(), Intuitor()), objective=SCALED).examples(answered("4", "5", "4"))
    ]

    both = Sum(of=(TTRL(), Intuitor()), objective=SCALED).graded(even)
    more = Sum(of=(TTRL(), Intuitor()), weigh=(1.0, 2.0), objective=SCALED).graded(even)

    assert contrast(both) == {"alike": 1.0, "alone": 0.0}
    assert contrast(more) == {"alike": 0.0, "alone": 0.0}
    # Of two voters the third is no rollout: all are equally good, at rewards of 2, 2 and 1.
    first = Sum(of=(TTRL(learn=2), Intuitor()), objective=SCALED)
    three = [
        replace(r, said=replace(r.said, known=Known(certainty=1.0)))
        for r in first.examples(answered("4", "4", "4"))
    ]
    assert sorted(r.reward or 0 for r in first.graded(three)) == [1, 2, 2]
    assert contrast(first.graded(three)) == {"alike": 1.0, "alone": 0.0}


def test_it_is_read_back_as_it_was_written() -> None:
    adapter = TypeAdapter[Any](MethodChoice)
    both = Sum(of=(TTRL(), Intuitor()), weigh=(1.0, 0.5), objective=Objective(kl=0.0))

    assert adapter.validate_json(adapter.dump_json(both)) == both


def test_the_policy_is_looked_at_where_any_reward_is_its_word() -> None:
    encode: Any = None
    assert BOTH.looks(encode).policy
    assert not Sum(of=(TTRL(), SRT()), objective=SCALED).looks(encode).policy


def test_what_was_earned_survives_a_file(tmp_path: Path) -> None:
    some = Sum(of=(TTRL(learn=2), Intuitor()), objective=SCALED).examples(answered(*SIX))
    write(tmp_path / "x.parquet", some)

    [*read] = Filed(tmp_path / "x.parquet")

    assert repr(read) == repr(some)  # nan is not itself
    assert "nan" in repr(some)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"of": [{"kind": "ttrl"}]}, "at least 2"),
        ({"of": [{"kind": "ttrl"}, {"kind": "srt"}], "weigh": [1.0]}, "1 numbers, and `of` 2"),
        ({"of": [{"kind": "ttrl"}, {"kind": "srt"}], "weigh": [0.0, 0.0]}, "is 0 for all"),
        ({"of": [{"kind": "ttrl"}, {"kind": "rlaif"}]}, "set `by: grade`"),
        ({"of": [{"kind": "ttrl"}, {"kind": "srt", "objective": "rloo"}]}, "the sum's `objective`"),
        (
            {"of": [{"kind": "ttrl"}, {"kind": "srt"}], "objective": "ppo"},
            "a critic's are of tokens",
        ),
        ({"of": [{"kind": "ttrl"}, {"kind": "srt"}], "objective": "rloo"}, "set `kl_in: loss`"),
        (
            {"of": [{"kind": "ttrl"}, {"kind": "srt"}], "objective": {"overlong": 4}},
            "leave `overlong` out",
        ),
        ({"of": [{"kind": "ttrl"}, {"kind": "srt"}], "objective": "dr_grpo"}, "set `scale: group`"),
        (
            {"of": [{"kind": "ttrl"}, {"kind": "srt"}], "objective": {"scale": "none"}},
            "would drown the others",
        ),
        ({"of": [{"kind": "ttrl"}, {"kind": "laser"}]}, "laser"),
    ],
)
def test_what_adds_up_to_nothing_is_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        TypeAdapter[Any](MethodChoice).validate_json(json.dumps({"kind": "sum", **wrong}))


def test_each_method_of_a_sum_must_have_what_it_needs(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(f"""\
name: sum
engines: {{main: {{kind: local, model: {tiny}}}}}
population: [{{name: pupil, count: 2, learns: true}}]
tasks:
  kind: inline
  verifier: exact
  items: [{{prompt: q, answer: a}}, {{prompt: r, answer: a}}]
protocol: {{kind: sample}}
method: {{kind: sum, of: [{{kind: intuitor}}, {{kind: cat}}]}}
""")

    with pytest.raises(MootError, match="cat learns from a reference, and protocol sample"):
        load(tmp_path / "x.yaml")
