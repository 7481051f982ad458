"""Marks, rankings and reasons: each way to judge, played by hand."""

from dataclasses import replace

import pytest
from judged_talk import JUDGE, PEOPLE, POLICIES, judged, panel, shown

from moot.agents.population import Agent, Population
from moot.agents.types import Completion
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.judged import Judged
from moot.protocols.judging.listwise import Listwise
from moot.protocols.judging.pairwise import Pairwise
from moot.protocols.judging.panel import level
from moot.protocols.judging.pointwise import Pointwise, expected
from moot.protocols.sample import Sample
from moot.protocols.types import Episode, Say


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


def test_of_replies_with_the_same_mark_one_is_drawn_to_be_best_or_worst() -> None:
    marks = {"41": "9", "42": "9", "43": "2", "44": "2"}
    people = Population((*(Agent(f"p{i}", "policy", "main") for i in range(4)), JUDGE))

    def reply(turn: int, say: Say) -> str:
        return marks[shown(say)[0]] if say.choices else [*marks][turn]

    outcomes = [
        rehearse(Judged(judging=Pointwise()), people, reply, replace(TASK, id=f"t{i}")).outcome
        for i in range(60)
    ]

    pairs = {(p.chosen, p.rejected) for one in outcomes for p in one.preferences}
    assert pairs == {(0, 2), (0, 3), (1, 2), (1, 3)}
    for one in outcomes:
        assert [one.answer] == [[*marks][p.chosen] for p in one.preferences]


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


def marked(first: tuple[str, str], second: tuple[str, str], task: str = TASK.id) -> Episode:
    """Return the episode in which a lenient and a strict judge mark two answers so."""
    marks = {"lenient": first, "strict": second}
    judges = (Agent("lenient", "judge", "main"), Agent("strict", "judge", "main"))

    def reply(turn: int, say: Say) -> str:
        if not say.choices:
            return ["41", "42"][turn]
        return marks[say.agent.name][shown(say)[0] == "42"]

    people = Population((*POLICIES[:2], *judges))
    return rehearse(Judged(judging=Pointwise()), people, reply, replace(TASK, id=task))


def test_who_abstains_on_one_reply_is_not_counted_for_the_other() -> None:
    alike = marked(("?", "9"), ("3", "3"))
    assert panel(alike, "grade") == {
        (0, None): pytest.approx(2 / 9),
        (1, None): pytest.approx(2 / 9),
    }
    assert alike.outcome.preferences == ()

    [first] = marked(("?", "9"), ("4", "3")).outcome.preferences
    assert (first.chosen, first.rejected) == (0, 1)


def test_where_nobody_could_be_read_on_all_replies_those_on_the_most_count() -> None:
    apart = [marked(("?", "9"), ("3", "?"), task=f"t{i}") for i in range(20)]

    grades = {
        tuple(score and round(9 * score) for score in panel(one, "grade").values()) for one in apart
    }
    assert grades == {(2, None), (None, 8)}  # of one judge, who is drawn
    assert {one.outcome.preferences for one in apart} == {()}


def test_the_same_judges_are_counted_for_all_turns() -> None:
    a, b, c, none = (
        Agent(n, "judge", "main", trust=t) for n, t in zip("abcd", (1, 1, 3, 0), strict=True)
    )

    # d was read on all turns but is not trusted; c is trusted most, but was read on one.
    found = {
        0: [(a, 0.2), (b, 0.4), (c, None), (none, 1.0)],
        1: [(a, 0.6), (b, 0.8), (c, None), (none, 1.0)],
        2: [(a, None), (b, None), (c, 0.9), (none, 1.0)],
    }
    assert level(TASK, found) == {0: pytest.approx(0.3), 1: pytest.approx(0.7), 2: None}
    # Of as many turns the most trusted count.
    assert level(TASK, {0: [(a, 0.2), (c, None)], 1: [(a, None), (c, 0.9)]}) == {0: None, 1: 0.9}
    assert level(TASK, {0: [(none, 0.5)], 1: []}) == {0: None, 1: None}
    assert level(TASK, {}) == {}
