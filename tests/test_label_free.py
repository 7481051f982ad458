"""Learning without labels: what answers earn by how many agree, and by how sure the policy is."""

import math
from collections import Counter
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from told import FIT, answered, episode, learnt, rollout, turn
from told import learner as fresh

from moot.agents.embedded.tokens import Tokens
from moot.agents.population import Agent, Population
from moot.experiments.cycle.talk import taught
from moot.protocols.conformance import rehearse
from moot.protocols.sample import Sample
from moot.protocols.types import Episode
from moot.protocols.voting import plurality
from moot.training.data.examples import Known, Rollout
from moot.training.fit import graded
from moot.training.methods.empo import EMPO
from moot.training.methods.intuitor import Intuitor
from moot.training.methods.rent import RENT
from moot.training.methods.srt import SRT
from moot.training.methods.ttrl import TTRL
from moot.training.methods.votes import winner
from moot.training.policy_gradient.objective import Objective

PLAIN = Objective(scale="none", kl=0)
Voting = TTRL | SRT | EMPO

#  4 has half of the six, 5 a third, and one says nothing that can be read.
SIX = ("4", "5", "it is 4", "none", "5", "4.0")


def rewards(method: Voting, told: Episode) -> list[float | None]:
    return [r.reward for r in method.examples(told)]


def known(one: Rollout, **seen: Any) -> Rollout:
    return replace(one, said=replace(one.said, known=Known(**seen)))


def test_the_majority_is_right_and_what_cannot_be_read_is_wrong() -> None:
    found = TTRL(objective=PLAIN).graded(TTRL().examples(answered(*SIX)))

    assert [r.reward for r in found] == [1, 0, 1, 0, 0, 1]
    assert [r.advantage for r in found] == [0.5, -0.5, 0.5, -0.5, -0.5, 0.5]
    assert all(r.teaches for r in found)


@pytest.mark.parametrize("method", [TTRL(), SRT(threshold=0.5)])
def test_of_equals_one_is_drawn_so_that_who_speaks_first_gains_nothing(method: Voting) -> None:
    told = answered("5", "4", "4", "5")
    tasks = [replace(told.task, id=f"t{i}") for i in range(100)]
    found = Counter(tuple(rewards(method, replace(told, task=task))) for task in tasks)

    assert set(found) == {(1, 0, 0, 1), (0, 1, 1, 0)}
    assert 35 < found[1, 0, 0, 1] < 65
    for task in tasks:  # as the vote of a protocol draws it
        assert winner(task, told.turns) == plurality(task, ["5", "4", "4", "5"]).winner


def test_all_vote_and_a_few_who_are_drawn_learn() -> None:
    told = answered("5", "4", "4", "4")
    tasks = [replace(told.task, id=f"t{i}") for i in range(60)]

    found = {
        tuple((r.turn, r.reward) for r in TTRL(learn=2).examples(replace(told, task=task)))
        for task in tasks
    }
    earned = dict(enumerate((0, 1, 1, 1)))
    assert found == {tuple((i, earned[i]) for i in two) for two in combinations(earned, 2)}
    assert rewards(TTRL(learn=9), told) == [0, 1, 1, 1]


@pytest.mark.parametrize("learn", [2, 3, 4, 5, 6, None])
def test_each_agents_first_answer_learns_before_anybodys_second(learn: int | None) -> None:
    people = Population(tuple(Agent(f"p{i}", "policy", "main", weights=f"w{i}") for i in range(3)))
    told = rehearse(Sample(samples=2), people, lambda turn, say: "42")
    tasks = [replace(told.task, id=f"t{i}") for i in range(60)]

    firsts, n = {0, 2, 4}, learn or 6
    taught = [[r.turn for r in TTRL(learn=learn).examples(replace(told, task=t))] for t in tasks]
    assert {len(turns) for turns in taught} == {n}
    assert {len(firsts & {*turns}) for turns in taught} == {min(n, 3)}
    assert {len(firsts | {*turns}) for turns in taught} == {max(n, 3)}
    assert {turn for turns in taught for turn in turns} == (firsts if n <= 3 else {*range(6)})


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (SRT(threshold=0.5), [1, 0, 1, 0, 0, 1]),
        (SRT(threshold=0.51), []),
        (SRT(threshold=0.0), [1, 0, 1, 0, 0, 1]),
        (SRT(soft=True), [1 / 2, 1 / 3, 1 / 2, 0, 1 / 3, 1 / 2]),
        (EMPO(), [1 / 2, 1 / 3, 1 / 2, 0, 1 / 3, 1 / 2]),
    ],
)
def test_rewards_by_hand(method: Voting, expected: list[float]) -> None:
    assert rewards(method, answered(*SIX)) == expected


@pytest.mark.parametrize(
    "texts", [SIX, ("4", "5"), ("4",), ("?", "4"), ("?", "?"), ("5", "4", "5")]
)
def test_without_a_threshold_srt_is_ttrl(texts: tuple[str, ...]) -> None:
    assert SRT(threshold=0).examples(answered(*texts)) == TTRL().examples(answered(*texts))


def test_where_all_answers_differ_empo_rewards_none_and_else_it_is_srt_softly() -> None:
    soft = SRT(soft=True)

    assert rewards(EMPO(), answered("4", "5", "6")) == [0, 0, 0]
    assert rewards(soft, answered("4", "5", "6")) == [1 / 3] * 3
    #  What can't be read is like nothing else: all differ here too.
    assert rewards(EMPO(), answered("4", "5", "6", "?")) == [0, 0, 0, 0]
    assert rewards(EMPO(), answered("4", "4", "?", "?")) == [1 / 2, 1 / 2, 0, 0]
    for texts in (("4", "5", "4"), ("4", "4"), ("4",), ("4", "4", "?", "?")):
        assert rewards(EMPO(), answered(*texts)) == rewards(soft, answered(*texts))


def test_the_majority_that_srt_asks_for_is_of_all_answers() -> None:
    #  Three of eight, though three of the five that can be read.
    told = answered("4", "4", "4", "?", "?", "?", "5", "6")

    assert rewards(SRT(threshold=3 / 8), told) == [1, 1, 1, 0, 0, 0, 0, 0]
    assert rewards(SRT(threshold=0.4), told) == []
    assert rewards(SRT(soft=True), told) == [3 / 8] * 3 + [0, 0, 0, 1 / 8, 1 / 8]
    assert rewards(SRT(soft=True), answered("?", "?")) == []
    with pytest.raises(ValidationError, match="`threshold` means nothing with `soft: true`"):
        SRT(soft=True, threshold=0.7)


def test_rounds_vote_apart() -> None:
    first = [turn(i, text) for i, text in enumerate(("4", "4", "5"))]
    last = [turn(i + 3, text, round=1) for i, text in enumerate(("5", "5", "4"))]
    told = episode([*first, *last])

    assert rewards(TTRL(), told) == [1, 1, 0, 1, 1, 0]
    assert [r.round for r in TTRL(learn=2).examples(told)] == [0, 0, 1, 1]
    assert rewards(SRT(soft=True), told) == [2 / 3, 2 / 3, 1 / 3] * 2
    #  A round that is undecided is left out; the other still teaches.
    undecided = episode([*first, turn(3, "5", round=1), turn(4, "6", round=1)])
    assert rewards(SRT(threshold=0.6), undecided) == [1, 1, 0]
    assert rewards(EMPO(), undecided) == [2 / 3, 2 / 3, 1 / 3, 0, 0]


def test_judges_and_critics_do_not_vote() -> None:
    told = episode([turn(0, "4"), turn(1, "5", role="judge"), turn(2, "5", role="critic")])

    for method in (TTRL(), SRT(), EMPO(), Intuitor(), RENT()):
        assert [r.turn for r in method.examples(told)] == [0]


def test_an_episode_in_which_nobody_gives_an_answer_has_no_label() -> None:
    told = answered("none", "none at all")

    assert rewards(TTRL(), told) == rewards(SRT(threshold=0), told) == []
    #  An entropy of answers is there nevertheless: none of them is worth anything.
    assert rewards(EMPO(), told) == [0, 0]
    assert not any(r.teaches for r in EMPO(objective=PLAIN).graded(EMPO().examples(told)))
    nobody = episode([])
    for method in (TTRL(), SRT(), EMPO(), Intuitor(), RENT()):
        assert method.graded(method.examples(nobody)) == []


@pytest.mark.parametrize("method", [TTRL, SRT, EMPO])
def test_one_rollout_alone_is_the_majority_and_teaches_nothing(method: type[Voting]) -> None:
    [free] = method(objective=PLAIN).graded(method().examples(answered("4")))
    [held] = method(objective=Objective(kl=0.1)).graded(method().examples(answered("4")))

    assert (free.reward, free.advantage, free.teaches) == (1, 0, False)
    assert (held.advantage, held.teaches) == (0, True)  # to stay near the anchor


def test_frozen_agents_vote_and_learn_nothing() -> None:
    turns = [turn(0, "5"), turn(1, "4", weights=None), turn(2, "4", weights=None)]
    found = TTRL(objective=PLAIN).graded(TTRL().examples(episode(turns)))

    assert [r.reward for r in found] == [0, 1, 1]
    assert [r.advantage for r in found] == pytest.approx([-2 / 3, 1 / 3, 1 / 3])
    assert [r.teaches for r in found] == [True, False, False]


def test_certainty_is_the_reward_in_each_group() -> None:
    one, other = (known(rollout(i, None, (5,)), certainty=float(3 * i)) for i in range(2))
    later = known(rollout(2, None, (5,), round=1), certainty=7.0)
    unseen = rollout(3, None, (5,), weights=None)

    found = Intuitor(objective=PLAIN).graded([one, other, later, unseen])

    assert [r.reward for r in found] == [0.0, 3.0, 7.0, None]
    assert [r.advantage for r in found] == [-1.5, 1.5, 0.0, 0.0]


def test_entropy_costs_and_what_cannot_be_read_costs_what_the_method_says() -> None:
    method = RENT(objective=PLAIN, no_answer=4.0)
    read, unread = method.examples(answered("4", "none"))
    assert (read.reward, unread.reward) == (None, None)
    assert [one.name for one in taught([read, unread], 0)] == ["talk/examples"]

    found = method.graded([known(read, entropy=1.0), known(unread, entropy=0.1)])

    assert [r.reward for r in found] == [-1.0, -4.0]
    assert [r.advantage for r in found] == [1.5, -1.5]


def test_what_the_policy_was_not_asked_about_is_in_no_group_whether_it_can_be_read_or_not() -> None:
    method = RENT(objective=PLAIN)
    mine, other, unread, third = method.examples(answered("4", "4", "none", "5"))
    seen = [known(mine, entropy=1.0), other, unread, known(third, entropy=3.0)]

    assert [r.advantage for r in method.graded(seen)] == [1.0, 0.0, 0.0, -1.0]


@pytest.mark.parametrize("method", [Intuitor(objective=PLAIN), RENT(objective=PLAIN)])
def test_the_policy_is_asked_what_it_thinks_before_it_learns(
    method: Intuitor | RENT, tiny: Path, tmp_path: Path
) -> None:
    texts = ("4", "14", "x 4", "9 or 4")
    examples = method.examples(answered(*texts))
    pupil, encode = fresh(tiny), Tokens(tiny)

    steps = learnt(pupil, method, examples, tiny, tmp_path)

    looked = graded(fresh(tiny), method, examples, encode, FIT, lambda _: True)
    given = [one.reward for one in looked if isinstance(one, Rollout)]
    assert all(reward is not None and math.isfinite(reward) for reward in given)
    assert len(set(given)) == len(texts)
    sign = 1 if isinstance(method, Intuitor) else -1
    assert all(sign * (reward or 0) > 0 for reward in given)
    assert steps[0][1]["reward"] == pytest.approx(sum(r or 0 for r in given) / len(given))
