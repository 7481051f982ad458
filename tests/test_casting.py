"""Casting: who plays which episode, always the same, and as often as it should be."""

import math
from collections import Counter
from dataclasses import replace

import pytest
from seated import PEOPLE, task

from moot.agents.errors import MootError
from moot.agents.population import Agent, Population
from moot.protocols.casting import Everybody, Some, seating

JUDGES = ("j0", "j1", "j2")


def names(
    casting: Some | Everybody, i: int, people: Population = PEOPLE, seed: int = 0
) -> list[str]:
    return [agent.name for agent in casting.cast(people, task(i), i, seed).agents]


def test_all_play_unless_it_is_said_otherwise() -> None:
    assert Everybody().cast(PEOPLE, task(0), 0, 0) == PEOPLE
    assert len(names(Some(kind="sample"), 0)) == 7


def test_a_sample_is_the_episodes_own_and_keeps_the_speaking_order() -> None:
    casting = Some(kind="sample", policies=2, judges=1)

    drawn = [tuple(names(casting, i)) for i in range(600)]

    assert drawn == [tuple(names(casting, i)) for i in range(600)]
    assert all(cast == tuple(sorted(cast, key=lambda n: (n[0] != "p", n))) for cast in drawn)
    pairs = Counter(cast[:2] for cast in drawn)  # 6 pairs, 100 times each: its deviation is 9.1
    assert len(pairs) == 6
    assert all(abs(n - 100) < 3.3 * 9.1 for n in pairs.values())
    assert {len(cast) for cast in drawn} == {3}
    assert drawn != [tuple(names(casting, i, seed=1)) for i in range(600)]


@pytest.mark.parametrize("policies", [1, 2, 3])
def test_in_turn_all_play_equally_often_and_not_always_beside_the_same(policies: int) -> None:
    casting = Some(kind="round_robin", policies=policies, judges=1)

    casts = [names(casting, i) for i in range(240)]

    assert all(len(cast) == policies + 1 and len(set(cast)) == len(cast) for cast in casts)
    assert all(cast == sorted(cast, key=lambda n: (n[0] != "p", n)) for cast in casts)
    counts = Counter(name for cast in casts for name in cast)
    assert counts == {**{f"p{i}": 60 * policies for i in range(4)}, **dict.fromkeys(JUDGES, 80)}
    met = Counter((one, cast[-1]) for cast in casts for one in cast[:-1])
    assert min(met.values()) > 10 * policies  # of 20 with each judge
    lap = [name for cast in casts[: 4 // policies] for name in cast[:-1]]
    assert len(set(lap)) == len(lap)
    assert casts != [names(casting, i, seed=1) for i in range(240)]


def test_a_cycle_goes_on_where_the_one_before_ended_and_draws_anew() -> None:
    tasks = [task(i) for i in range(2)]
    played: dict[str, Counter[str]] = {}
    for kind in ("round_robin", "sample"):
        casting = Some.model_validate({"kind": kind, "policies": 1})
        found = played[kind] = Counter[str]()
        for cycle in range(40):
            cast = seating(casting, PEOPLE, tasks, 7, cycle)
            found.update(cast(one).agents[0].name for one in tasks)

    assert set(played["round_robin"].values()) == {20}
    assert min(played["sample"].values()) > 8  # in each cycle another; its deviation is 3.9
    assert len(played["sample"]) == 4


def test_the_better_are_cast_as_much_oftener_as_their_odds_say() -> None:
    counts = Counter(names(Some(kind="rating", policies=1), i)[0] for i in range(2000))

    for i in range(4):  # odds of 1 : 2 : 3 : 4
        p = (i + 1) / 10
        assert abs(counts[f"p{i}"] - 2000 * p) < 3.3 * math.sqrt(2000 * p * (1 - p))


def test_more_seats_than_agents_are_an_error() -> None:
    with pytest.raises(MootError, match="5 are to play 'policy', which is"):
        names(Some(kind="sample", policies=5), 0)
    with pytest.raises(MootError, match="1 are to play 'critic', which is"):
        names(Some(kind="rating", critics=1), 0)


def test_who_plays_more_than_one_role_takes_a_seat_of_its_first() -> None:
    both = Population((replace(PEOPLE.agents[0], others=("judge",)), *PEOPLE.agents[1:4]))

    cast = Some(kind="sample", policies=4).cast(both, task(0), 0, 0)
    assert [agent.name for agent in cast.playing("judge")] == ["p0"]


@pytest.mark.parametrize("kind", ["sample", "round_robin", "rating"])
@pytest.mark.parametrize("seats", [1, 2, 3, 4, 5])
def test_extremes_let_everybody_sit_out_who_may(kind: str, seats: int) -> None:
    people = Population(tuple(Agent(f"p{i}", "policy", "main") for i in range(5)))
    casting = Some.model_validate({"kind": kind, "policies": seats})

    casts = [{agent.name for agent in cast.agents} for cast in casting.extremes(people)]

    assert {len(cast) for cast in casts} == {seats}
    absent = {agent.name for agent in people.agents} - set.intersection(*casts)
    assert len(absent) == (5 if seats < 5 else 0)


def test_extremes_let_as_many_of_a_role_sit_out_as_may() -> None:
    both = {"p0": ("critic",), "j1": ("critic",)}  # who play the critic, too
    agents = [*PEOPLE.agents[:2], *PEOPLE.agents[4:6]]
    people = Population(tuple(replace(one, others=both.get(one.name, ())) for one in agents))
    casting = Some(kind="round_robin", policies=1, judges=1)

    played = [{a.name for a in casting.cast(people, task(i), i, 0).agents} for i in range(20)]
    assert {"p1", "j0"} in played  # who have no critic among them
    assert {"p1", "j0"} in [{a.name for a in cast.agents} for cast in casting.extremes(people)]
