"""Judges, played by hand: what they are shown, and what their verdicts come to."""

import pytest
from judged_talk import PEOPLE, POLICIES, better, judged, panel, shown, sure

from moot.agents.errors import MootError
from moot.agents.population import Agent, Population
from moot.agents.types import Completion
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.consensus import Consensus
from moot.protocols.debate import Debate
from moot.protocols.judged import Judged, preferred
from moot.protocols.judging.pairwise import Pairwise
from moot.protocols.moderated import Moderated
from moot.protocols.types import Say, Verdict


def test_each_pair_is_judged_in_both_orders_and_the_two_are_averaged() -> None:
    episode = judged(Judged(), "41", "42", "43")

    assert [shown(Say(t.agent, t.prompt[-1].content)) for t in episode.turns[3:]] == [
        ["41", "42"],
        ["42", "41"],
        ["41", "43"],
        ["43", "41"],
        ["42", "43"],
        ["43", "42"],
    ]
    assert panel(episode, "preference") == {
        (0, 1): pytest.approx(2 / 11),
        (0, 2): pytest.approx(2 / 7),
        (1, 2): pytest.approx(9 / 14),
    }
    own = [v for v in episode.outcome.verdicts if v.by is not None]
    assert (own[1].of, own[1].by, own[1].over) == (1, 4, 0)
    assert own[1].score == pytest.approx(9 / 11)
    assert panel(episode, "grade")[1, None] == pytest.approx((9 / 11 + 9 / 14) / 2)


def test_a_taste_for_the_first_place_cancels_out() -> None:
    alike = rehearse(
        Judged(),
        PEOPLE,
        lambda turn, say: sure(0.7, 0.3) if say.choices else ["41", "42", "43"][turn],
    )

    assert set(panel(alike, "preference").values()) == {0.5}
    assert alike.outcome.preferences == ()


def test_preferences_go_from_the_better_to_the_worse_and_say_how_likely() -> None:
    outcome = judged(Judged(), "41", "42", "43").outcome

    assert [(p.asked, p.chosen, p.rejected, p.by) for p in outcome.preferences] == [
        (1, 1, 0, (3, 4)),
        (2, 2, 0, (5, 6)),
        (1, 1, 2, (7, 8)),
    ]
    assert [p.probability for p in outcome.preferences] == pytest.approx([9 / 11, 5 / 7, 9 / 14])
    narrow = judged(Judged(margin=0.5), "41", "42", "43").outcome.preferences
    assert [(p.chosen, p.rejected) for p in narrow] == [(1, 0)]  # 2·9/11 - 1 = .64, then .43, .29


def test_the_best_answer_is_the_populations_where_the_talk_concludes_nothing() -> None:
    assert judged(Judged(), "41", "42", "41").outcome.answer == "42"
    assert judged(Judged(), "41", "42", "41").outcome.majority == "41"
    voted = judged(Judged(talk=Consensus()), "41", "42", "41").outcome
    assert (voted.answer, voted.reference) == ("41", "41")
    assert [v.score for v in voted.verdicts if v.kind == "match"] == [1.0, 0.0, 1.0]


def test_replies_that_are_the_same_are_not_compared() -> None:
    episode = judged(Judged(), "42", "42", "42")

    assert len(episode.turns) == 3
    assert episode.outcome.verdicts == ()
    assert episode.outcome.answer == "42"  # there was nothing to judge between


def test_a_text_is_not_preferred_over_itself() -> None:
    replies = judged(Judged(), "42", "42", "41").turns[:3]
    ranked = [Verdict(i, "grade", grade) for i, grade in enumerate((1.0, 0.0, 0.5))]

    assert preferred(TASK, replies, ranked, 0.0) == []
    assert preferred(TASK, replies, [Verdict(0, "preference", 0.9, over=1)], 0.0) == []


def test_equals_stay_equal_whatever_the_rounding() -> None:
    replies = judged(Judged(), "41", "42", "42").turns[:2]

    def found(one: float, other: float, margin: float = 0.0) -> int:
        grades = [Verdict(0, "grade", one), Verdict(1, "grade", other)]
        return len(preferred(TASK, replies, grades, margin))

    # The marks 2, 3 and 4, and the same in another order, of three judges.
    one, other = (sum((mark - 1) / 9 for mark in marks) / 3 for marks in ((2, 3, 4), (3, 4, 2)))
    assert one != other
    assert found(one, other) == 0
    assert found(0.0, 1e-17) == 0
    assert found(one, one + 0.01) == 1
    assert 0.3 - 0.2 < 0.1
    assert found(0.3, 0.2, margin=0.1) == 1  # it is .1, but for the rounding
    assert found(0.3, 0.21, margin=0.1) == 0
    even = 0.1 + 0.2 + 0.2 + 1e-16
    assert even != 0.5
    assert preferred(TASK, replies, [Verdict(0, "preference", even, over=1)], 0.0) == []


def test_who_disagreed_and_won_is_preferred_as_a_reply_to_the_question() -> None:
    def reply(turn: int, say: Say) -> str | Completion:
        if turn < 2:
            return ["41", "42"][turn]
        return better(say) if say.choices else '{"answer": "42"}'

    episode = rehearse(Judged(talk=Moderated(rounds=1)), PEOPLE, reply)

    assert [(p.asked, p.chosen, p.rejected) for p in episode.outcome.preferences] == [(0, 1, 0)]


def test_both_sides_of_one_policy_cant_be_judged() -> None:
    alone = Population((PEOPLE.playing("policy")[0], *PEOPLE.playing("judge")))

    with pytest.raises(MootError, match="one policy takes both sides can't be judged"):
        Judged(talk=Moderated(rounds=1)).calls(alone)
    assert Moderated(rounds=1).calls(alone)


def test_so_many_pairs_as_wanted_are_drawn_by_the_task() -> None:
    one = judged(Judged(judging=Pairwise(pairs=1)), "41", "42", "43")

    assert len(one.turns) == 5
    assert one.turns == judged(Judged(judging=Pairwise(pairs=1)), "41", "42", "43").turns


def test_a_debates_last_answers_are_judged_as_replies_to_the_question() -> None:
    episode = judged(Judged(talk=Debate()), "41", "41", "41", "41", "42", "43")

    assert {v.of for v in episode.outcome.verdicts if v.kind == "preference"} == {3, 4, 5}
    best = episode.outcome.preferences[0]
    assert (best.asked, best.chosen, best.rejected) == (1, 4, 3)


def test_a_judge_that_cant_be_read_is_asked_once_more_and_then_abstains() -> None:
    def reply(turn: int, say: Say) -> str | Completion:
        if not say.choices:
            return ["41", "42", "43"][turn]
        if "42" in say.text and "could not be read" not in say.text:
            return "Both are fine."
        return better(say) if "43" in say.text else "1 or 2"

    episode = rehearse(Judged(), PEOPLE, reply)

    found = panel(episode, "preference")
    assert found[0, 1] is None
    assert found[1, 2] == pytest.approx(9 / 14)
    assert episode.outcome.notes["verdicts_unreadable"] == pytest.approx(2 / 6)
    assert panel(episode, "grade")[0, None] == pytest.approx(2 / 7)


def test_a_judge_without_probabilities_is_read_by_what_it_names() -> None:
    replies = ["41", "42", "43", "1", "The better one is 1.", "2", "1", "(1)", "**2**"]

    found = panel(rehearse(Judged(), PEOPLE, lambda turn, say: replies[turn]), "preference")

    assert found == {(0, 1): 0.5, (0, 2): 0.0, (1, 2): 1.0}


def test_a_panel_is_weighed_by_trust() -> None:
    judges = tuple(Agent(f"j{i}", "judge", "main", trust=t) for i, t in enumerate((3.0, 1.0, 0.0)))
    people = Population((*POLICIES[:2], *judges))
    marks = {"j0": 0.5, "j1": 1.0, "j2": 0.0}

    def reply(turn: int, say: Say) -> str | Completion:
        if not say.choices:
            return ["41", "42"][turn]
        p = marks[say.agent.name]
        return sure(p, 1 - p) if shown(say) == ["41", "42"] else sure(1 - p, p)

    assert panel(rehearse(Judged(), people, reply), "preference") == {(0, 1): (1.5 + 1) / 4}
    nobody = Population((*POLICIES[:2], judges[2]))
    assert panel(rehearse(Judged(), nobody, reply), "preference") == {(0, 1): None}
