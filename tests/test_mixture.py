"""Mixtures of agents, played by hand: what each layer reads, and who aggregates."""

import pytest

from moot.agents.errors import MootError
from moot.agents.population import Agent, Population
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.mixture import Mixture
from moot.protocols.types import Episode, Turn

POLICIES = tuple(Agent(f"p{i}", "policy", "main", persona=f"You are {i}.") for i in range(3))
PEOPLE = Population(POLICIES)
CRITIC = Agent("c", "critic", "main")


def mixed(mixture: Mixture, texts: list[str], people: Population = PEOPLE) -> Episode:
    """Return the mixture in which turn i says texts[i]."""
    return rehearse(mixture, people, lambda turn, say: texts[turn])


def shown(turn: Turn) -> list[str]:
    return [part.split("\n")[1] for part in turn.prompt[-1].content.split("<answer ")[1:]]


def test_each_layer_reads_the_one_before_and_the_anchor_the_last() -> None:
    texts = ["a 1", "b 2", "c 3", "d 4", "e 5", "f 5", "g 6", "h 7", "i 7", "so 42"]

    episode = mixed(Mixture(layers=3), texts)

    first, second, third, [last] = (episode.turns[i : i + 3] for i in (0, 3, 6, 9))
    assert {turn.prompt[-1].content for turn in first} == {TASK.prompt}
    assert [turn.heard for turn in episode.turns] == [
        *[()] * 3,
        *[(0, 1, 2)] * 3,
        *[(3, 4, 5)] * 3,
        (6, 7, 8),
    ]
    assert sorted(shown(second[0])) == ["a 1", "b 2", "c 3"]
    assert sorted(shown(third[0])) == ["d 4", "e 5", "f 5"]
    assert sorted(shown(last)) == ["g 6", "h 7", "i 7"]
    for layer in (second, third):
        assert len({turn.prompt[-1].content for turn in layer}) == 1
        assert [turn.prompt[0].content for turn in layer] == [p.persona for p in POLICIES]
    assert (last.agent.name, last.agent.weights) == ("anchor", None)
    assert TASK.prompt in last.prompt[-1].content
    assert Mixture(layers=3).calls(PEOPLE) == {**dict.fromkeys(POLICIES, 3), last.agent: 1}


def test_the_aggregate_is_the_reference_and_grades_the_answers_of_all_layers() -> None:
    outcome = mixed(Mixture(), ["42", "42", "42", "41", "?", "41", "so 42"]).outcome

    assert (outcome.reference, outcome.answer) == ("so 42", "42")
    assert outcome.majority == "41"  # of the last layer
    assert [v.score for v in outcome.verdicts] == [1.0, 1.0, 1.0, 0.0, None, 0.0]
    assert {v.by for v in outcome.verdicts} == {6}


def test_an_aggregate_that_cannot_be_read_grades_nothing() -> None:
    outcome = mixed(Mixture(layers=1), ["42", "42", "42", "hm"]).outcome

    assert (outcome.reference, outcome.verdicts, outcome.majority) == (None, (), "42")


def test_a_critic_may_aggregate_and_a_missing_one_is_an_error() -> None:
    people = Population((*POLICIES, CRITIC))

    episode = mixed(Mixture(layers=1, by="critic"), ["41", "42", "43", "42"], people)

    assert episode.turns[3].agent == CRITIC
    with pytest.raises(MootError, match="no agent plays 'critic'"):
        Mixture(by="critic").calls(PEOPLE)
    sampling = list(Mixture(temperature=0.5, max_tokens=9).calls(PEOPLE))[-1].sampling
    assert (sampling.temperature, sampling.max_tokens) == (0.5, 9)


def test_answers_are_numbered_in_another_order_than_they_were_given() -> None:
    people = Population(tuple(Agent(f"p{i}", "policy", "main") for i in range(9)))

    episode = mixed(Mixture(layers=3), [str(i) for i in range(28)], people)

    orders = [shown(episode.turns[i]) for i in (9, 18, 27)]
    assert [sorted(order, key=int) for order in orders] != orders
    assert len({tuple(int(one) % 9 for one in order) for order in orders}) == 3
