"""Judges, played by hand: what they are shown, and what their verdicts come to."""

import pytest

from moot.agents.errors import MootError
from moot.agents.population import Agent, Population
from moot.agents.types import Completion
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.consensus import Consensus
from moot.protocols.debate import Debate
from moot.protocols.judged import Judged, preferred
from moot.protocols.judging.listwise import Listwise
from moot.protocols.judging.pairwise import Pairwise
from moot.protocols.judging.pointwise import Pointwise, expected
from moot.protocols.moderated import Moderated
from moot.protocols.sample import Sample
from moot.protocols.types import Episode, Say, Verdict

POLICIES = tuple(Agent(f"p{i}", "policy", "main") for i in range(3))
JUDGE = Agent("j", "judge", "main")
PEOPLE = Population((*POLICIES, JUDGE))
GOODNESS = {"41": 0.2, "42": 0.9, "43": 0.5}


def sure(*shares: float) -> Completion:
    """Return a completion of a judge whose engine tells how likely each choice was."""
    return Completion("?", "stop", 0, 1, 1, 0.0, shares=shares)


def better(say: Say, bias: float = 0.0) -> Completion:
    """Return what a judge with a taste for the first place says of two replies."""
    first, second = (GOODNESS[text] for text in shown(say))
    p = first / (first + second)
    return sure(p + bias * (1 - p), (1 - p) * (1 - bias))


def shown(say: Say) -> list[str]:
    """Return the replies that a judge sees, in the order of its prompt."""
    return [part.split("\n")[1] for part in say.text.split("<reply ")[1:]]


def judged(
    protocol: Judged, *answers: str, bias: float = 0.0, people: Population = PEOPLE
) -> Episode:
    """Return the episode in which the policies answer so and a judge compares them."""
    return rehearse(
        protocol,
        people,
        lambda turn, say: better(say, bias) if say.choices else answers[turn],
    )


def panel(episode: Episode, kind: str) -> dict[tuple[int, int | None], float | None]:
    return {
        (v.of, v.over): v.score for v in episode.outcome.verdicts if v.by is None and v.kind == kind
    }


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

    assert preferred(replies, ranked, 0.0) == []
    assert preferred(replies, [Verdict(0, "preference", 0.9, over=1)], 0.0) == []


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


def test_marks_are_an_expectation() -> None:
    assert expected([0.0] * 9 + [1.0]) == 1
    assert expected([1.0] + [0.0] * 9) == 0
    assert expected([0, 0, 0.5, 0, 0, 0, 0, 0.5, 0, 0]) == pytest.approx((5.5 - 1) / 9)

    def reply(turn: int, say: Say) -> str | Completion:
        if not say.choices:
            return ["41", "42", "43"][turn]
        return {"41": "3", "42": "10", "43": "8/10 or 9"}[shown(say)[0]]

    episode = rehearse(Judged(judging=Pointwise()), PEOPLE, reply)
    assert panel(episode, "grade") == {
        (0, None): pytest.approx(2 / 9),
        (1, None): 1.0,
        (2, None): None,
    }
    [best] = episode.outcome.preferences
    assert (best.chosen, best.rejected, best.probability) == (1, 0, 1.0)
    assert best.by == (3, 4)


def test_a_ranking_is_read_by_number_and_counts_only_if_it_is_whole() -> None:
    def ranked(text: str) -> Episode:
        return rehearse(
            Judged(judging=Listwise()),
            PEOPLE,
            lambda turn, say: text if say.agent == JUDGE else ["41", "42", "43"][turn],
        )

    episode = ranked('Sure! ```json\n{"ranking": [3, 1, 2]}\n```')
    order = shown(Say(JUDGE, episode.turns[3].prompt[-1].content))
    grades = {episode.turns[v.of].text: v.score for v in episode.outcome.verdicts if v.by is None}
    assert grades == {order[2]: 1.0, order[0]: 0.5, order[1]: 0.0}
    for part in (
        '{"ranking": [1, 2]}',
        '{"ranking": [1, 2, 2]}',
        '{"ranking": [0, 1, 2]}',
        "1 > 2",
    ):
        assert {v.score for v in ranked(part).outcome.verdicts} == {None}
        assert len(ranked(part).turns) == 5


def test_reasons_are_a_turn_of_their_own_and_heard_by_the_verdict() -> None:
    episode = rehearse(
        Judged(judging=Pairwise(reasons=True)),
        Population((*POLICIES[:2], JUDGE)),
        lambda turn, say: "1" if say.choices else ["41", "42", "because", "since"][turn],
    )

    thought, _, verdict, _ = episode.turns[2:]
    assert "without a verdict" in thought.prompt[-1].content
    assert [m.content for m in verdict.prompt][1:] == ["because", "Reply with 1 or 2 only."]
    assert verdict.heard == (0, 1, 2)


def test_what_the_judges_of_an_episode_are_shown_begins_alike() -> None:
    episode = judged(Judged(judging=Pairwise()), "41", "42", "43")
    prompts = [turn.prompt[-1].content for turn in episode.turns[3:]]

    shared = len(prompts[0])
    for prompt in prompts:
        while not prompt.startswith(prompts[0][:shared]):
            shared -= 1
    assert prompts[0][:shared].endswith('<reply number="1">\n4')
    assert TASK.prompt in prompts[0][:shared]


def test_calls_are_bounded_exactly() -> None:
    judged_all = Judged(
        talk=Sample(samples=2)
    )  # 6 replies: 15 pairs, 2 orders, asked twice at most

    assert judged_all.calls(PEOPLE)[JUDGE] == 60
    both = Population((Agent("p", "policy", "main", others=("judge",)), POLICIES[0]))
    [as_judge] = both.playing("judge")
    assert Judged(judging=Pointwise(reasons=True)).calls(both)[as_judge] == 6
