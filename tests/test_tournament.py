"""Tournaments, played by hand: who meets whom, and who wins."""

from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest

from moot.agents.population import Agent, Population
from moot.agents.types import Completion
from moot.protocols.asking import TRIES
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.tournament import Tournament
from moot.protocols.types import Episode, Say

JUDGE = Agent("j", "judge", "main")
STRENGTH = {"41": 0.2, "42": 0.9, "43": 0.5}


def sure(*shares: float) -> Completion:
    return Completion("?", "stop", 0, 1, 1, 0.0, shares=shares)


def by_strength(say: Say) -> Completion:
    a, b = (STRENGTH.get(p.split("\n")[1], 0.1) for p in say.text.split("<reply ")[1:])
    return sure(a / (a + b), b / (a + b))


def cast(n: int) -> Population:
    return Population((*(Agent(f"p{i}", "policy", "main") for i in range(n)), JUDGE))


def played(
    protocol: Tournament, *answers: str, readable: bool = True, task: str = TASK.id
) -> Episode:
    """Return the tournament of these answers, one of each policy."""

    def reply(turn: int, say: Say) -> str | Completion:
        if say.choices:
            return by_strength(say) if readable else "hm"
        return answers[turn]

    return rehearse(protocol, cast(len(answers)), reply, replace(TASK, id=task))


def met(episode: Episode) -> list[tuple[int, int | None]]:
    verdicts = episode.outcome.verdicts
    return [(v.of, v.over) for v in verdicts if v.kind == "preference" and v.by is None]


def test_the_strongest_answer_wins_whoever_is_in_the_majority() -> None:
    episode = played(Tournament(), "41", "42", "41", "43", "?")

    outcome = episode.outcome
    assert (outcome.answer, outcome.majority, outcome.reference) == ("42", "41", "42")
    assert len(episode.turns) == 5 + 2 * 3  # three unlike answers, each pair in both orders
    said = {turn.index: turn.answer for turn in episode.turns}  # 41 is played by one of the two
    games = {frozenset(said[i or 0] for i in two) for two in met(episode)}
    assert games == {frozenset(two) for two in combinations(STRENGTH, 2)}
    grades = {said[v.of]: v.score for v in outcome.verdicts if v.kind == "grade"}
    assert grades == {
        "41": pytest.approx((2 / 11 + 2 / 7) / 2),
        "42": pytest.approx((9 / 11 + 9 / 14) / 2),
        "43": pytest.approx((5 / 7 + 5 / 14) / 2),
    }
    preferred = {(said[p.chosen], said[p.rejected]): p.probability for p in outcome.preferences}
    assert set(preferred) == {("42", "41"), ("43", "41"), ("42", "43")}
    assert preferred["42", "41"] == pytest.approx(9 / 11)
    assert [v.score for v in outcome.verdicts if v.kind == "match"] == [0.0, 1.0, 0.0, 0.0, None]


def test_a_judge_that_likes_the_first_place_prefers_nobody() -> None:
    def reply(turn: int, say: Say) -> str | Completion:
        return sure(0.9, 0.1) if say.choices else ["41", "42"][turn]

    outcome = rehearse(Tournament(), cast(2), reply).outcome

    assert outcome.preferences == ()
    assert [v.score for v in outcome.verdicts if v.kind == "grade"] == [0.5, 0.5]
    assert outcome.answer == "41"  # of equals the first


def test_in_swiss_rounds_those_meet_who_have_not_met() -> None:
    answers = ["41", "42", "43", "44"]

    one, two = (played(Tournament(rounds=n), *answers) for n in (1, 2))

    assert len(one.turns) == 4 + 2 * 2
    assert met(two) == [(0, 1), (2, 3), (1, 2), (0, 3)]  # the winners meet, and then the losers
    assert two.outcome.answer == "42"


def test_of_an_odd_number_one_rests_in_each_round() -> None:
    found = {
        tuple(met(played(Tournament(rounds=2), "41", "42", "43", task=f"t{i}"))) for i in range(40)
    }

    #  42 is the best of any two, and 43 of those without it; who rests in the first round is drawn.
    assert found == {((0, 1), (1, 2)), ((1, 2), (0, 1)), ((0, 2), (1, 2))}


def test_a_game_that_cannot_be_read_is_not_played_again() -> None:
    episode = played(Tournament(rounds=3), "41", "42", readable=False)

    spoke = Counter(turn.agent for turn in episode.turns)
    assert spoke == Tournament(rounds=3).calls(cast(2))
    assert spoke[JUDGE] == 2 * TRIES
    assert (episode.outcome.answer, episode.outcome.reference) == (None, None)
    assert episode.outcome.notes == {"players": 2.0, "verdicts_unreadable": 1.0}


def test_one_answer_wins_without_a_game_and_none_wins_nothing() -> None:
    assert played(Tournament(), "42", "42").outcome.answer == "42"
    assert played(Tournament(), "?", "?").outcome.answer is None


@pytest.mark.parametrize(("rounds", "games"), [(None, 6), (1, 2), (2, 4), (3, 6), (9, 6)], ids=str)
def test_the_judge_is_asked_as_often_as_there_are_games(rounds: int | None, games: int) -> None:
    protocol = Tournament(rounds=rounds)

    assert protocol.calls(cast(4))[JUDGE] == games * 2 * TRIES
    unread = played(protocol, "41", "42", "43", "44", readable=False)
    spoke = Counter(turn.agent for turn in unread.turns)[JUDGE]
    assert spoke <= games * 2 * TRIES
    assert rounds not in {None, 1} or spoke == games * 2 * TRIES
