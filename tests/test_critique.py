"""Critiques, played by hand: who is shown what, and what is taught by a revision."""

from collections import Counter
from dataclasses import replace
from itertools import product

import pytest

from moot.agents.population import Agent, Population, Role, acting
from moot.experiments.cycle.talk import bounds
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.critique import CONSTITUTION, Critique
from moot.protocols.types import Demonstration, Episode, Preference

POLICIES = tuple(Agent(f"p{i}", "policy", "main") for i in range(2))
CRITIC = Agent("c", "critic", "main")
PEOPLE = Population((*POLICIES, CRITIC))


def held(protocol: Critique, *texts: str) -> Episode:
    return rehearse(protocol, PEOPLE, lambda turn, say: texts[turn])


def test_a_policy_criticises_and_revises_its_own_answer_in_one_chat() -> None:
    episode = held(
        Critique(constitution=("is it right?",)), "41", "40", "too low", "no", "42", "40"
    )

    critique, revision = episode.turns[2], episode.turns[4]
    assert [m.content for m in critique.prompt] == [
        TASK.prompt,
        "41",
        "Criticise your last answer: is it right?\n\nSay what is wrong with it, if anything, and "
        "do not answer again yet.",
    ]
    assert critique.agent.role == "critic"
    assert [m.content for m in revision.prompt][-2:] == [
        "too low",
        "Now answer the question again, without what was criticised, in the form that it asks for.",
    ]
    assert (critique.heard, revision.heard) == ((0,), (0, 2))


def test_the_revision_is_demonstrated_and_preferred_to_the_first_answer() -> None:
    outcome = held(Critique(), "41", "40", "too low", "no", "42", "40").outcome

    assert outcome.demonstrations == (
        Demonstration(0, 4, "revision"),
        Demonstration(1, 5, "revision"),
    )
    # The second said the same again: there is nothing to prefer.
    assert outcome.preferences == (Preference(asked=0, chosen=4, rejected=0, by=(2,)),)


def test_an_empty_revision_teaches_nothing() -> None:
    outcome = held(Critique(), "41", "40", "", "", " ", "42").outcome

    assert [d.said for d in outcome.demonstrations] == [5]
    assert [p.chosen for p in outcome.preferences] == [5]


def test_critiques_are_no_answers() -> None:
    episode = held(Critique(), "41", "40", "It should be 43", "no", "42", "42")

    assert [turn.index for turn in bounds(episode)[1]] == [4, 5]
    assert {v.of for v in episode.outcome.verdicts} == {0, 1, 4, 5}
    assert episode.outcome.answer == "42"


def test_a_critic_sees_the_answer_fenced_and_the_policy_its_critique() -> None:
    episode = held(Critique(by="critic"), "41", "40", "too low", "fine", "42", "40")

    critique, revision = episode.turns[2], episode.turns[4]
    assert critique.agent.name == "c"
    assert '<answer number="1">\n41\n</answer>' in critique.prompt[-1].content
    assert TASK.prompt in critique.prompt[-1].content
    assert '<critique number="1">\ntoo low\n</critique>' in revision.prompt[-1].content
    assert [m.content for m in revision.prompt[:2]] == [TASK.prompt, "41"]
    assert Critique(by="critic", revisions=3).calls(PEOPLE) == {
        POLICIES[0]: 4,
        POLICIES[1]: 4,
        CRITIC: 6,
    }


def test_nobody_criticises_its_own_answer_where_there_are_other_critics() -> None:
    peers = Population(
        tuple(Agent(f"p{i}", "policy", "main", others=("critic",)) for i in range(3))
    )
    protocol = Critique(by="critic")

    episode = rehearse(protocol, peers, lambda turn, say: "42")

    assert [turn.agent.name for turn in episode.turns[3:6]] == ["p1", "p2", "p0"]
    assert sorted(a.name for a, n in protocol.calls(peers).items() if n == 1) == ["p0", "p1", "p2"]
    alone = rehearse(protocol, Population(peers.agents[:1]), lambda turn, say: "42")
    assert alone.turns[1].agent.name == "p0"


def test_each_revision_stands_in_place_of_the_answer_before_it() -> None:
    texts = ["41", "40", "low", "low", "42", "41", "fine", "low", "43", "42"]
    episode = held(Critique(revisions=2), *texts)

    assert [m.content for m in episode.turns[6].prompt][:2] == [TASK.prompt, "42"]
    assert episode.outcome.demonstrations[0] == Demonstration(0, 8, "revision")
    assert episode.outcome.preferences[0] == Preference(0, 8, 0, by=(2, 6))


@pytest.mark.parametrize("principles", ["drawn", "in_turn"])
def test_every_principle_is_used_before_one_is_repeated(principles: str) -> None:
    n = len(CONSTITUTION)
    protocol = Critique.model_validate({"revisions": n, "principles": principles})
    episode = held(protocol, *["42"] * 99)

    asked = [
        t.prompt[-1].content
        for t in episode.turns
        if t.agent.name == "p0" and t.agent.role == "critic"
    ]
    used = [next(p for p in CONSTITUTION if p in text) for text in asked]
    assert sorted(used) == sorted(CONSTITUTION)
    assert (used == list(CONSTITUTION)) == (principles == "in_turn")


def test_no_critic_speaks_more_often_than_it_may_whoever_plays_both_roles() -> None:
    roles: list[tuple[Role, ...]] = [("policy",), ("critic",), ("policy", "critic")]
    for cast in [*product(roles, repeat=4), *product(roles, repeat=2)]:
        people = Population(
            tuple(Agent(f"a{i}", r[0], "main", others=r[1:]) for i, r in enumerate(cast))
        )
        if {"policy", "critic"} - set().union(*cast):
            continue
        protocol, most = Critique(by="critic"), Counter[Agent]()
        for i in range(12):
            task = replace(TASK, id=f"t{i}")
            turns = rehearse(protocol, people, lambda turn, say: "42", task).turns
            most |= Counter(turn.agent for turn in turns)
        assert most == protocol.calls(people)


def test_policies_that_criticise_themselves_need_no_critic() -> None:
    alone = Population(POLICIES)

    assert Critique().calls(alone) == {
        **dict.fromkeys(POLICIES, 2),
        **{acting(policy, "critic"): 1 for policy in POLICIES},
    }
    assert len(rehearse(Critique(), alone, lambda turn, say: "42").turns) == 6


def test_which_critic_begins_is_drawn_and_none_speaks_more_often_than_it_may() -> None:
    two = (CRITIC, replace(CRITIC, name="d"))
    people = Population((*(Agent(f"p{i}", "policy", "main") for i in range(3)), *two))
    protocol = Critique(by="critic")
    seen: set[tuple[str, ...]] = set()
    for i in range(20):
        turns = rehearse(protocol, people, lambda turn, say: "42", replace(TASK, id=f"t{i}")).turns
        seen.add(tuple(t.agent.name for t in turns if t.agent.role == "critic"))

    assert seen == {("c", "d", "c"), ("d", "c", "d")}
    assert protocol.calls(people) == {
        **dict.fromkeys(people.agents[:3], 2),
        **dict.fromkeys(two, 2),
    }
