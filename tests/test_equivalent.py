"""Equivalence to the reference, as judges see it, played by hand."""

import pytest
from pydantic import ValidationError

from moot.agents.population import Agent, Population
from moot.agents.types import Completion
from moot.protocols.conformance import rehearse
from moot.protocols.consensus import Consensus
from moot.protocols.equivalent import Equivalent
from moot.protocols.sample import Sample
from moot.protocols.types import Episode, Say
from moot.training.methods.cat import CaT

POLICIES = tuple(Agent(f"p{i}", "policy", "main", weights="p") for i in range(3))
JUDGES = tuple(Agent(f"j{i}", "judge", "main") for i in range(2))
SAME = {"41": 0.2, "42": 0.9, "43": 0.4}


def played(protocol: Equivalent, *answers: str, unreadable: bool = False) -> Episode:
    def reply(turn: int, say: Say) -> str | Completion:
        if not say.choices:
            return answers[turn]
        if unreadable:
            return "hm"
        yes = next(p for text, p in SAME.items() if text in say.text.split("<reply ")[1])
        return Completion("?", "stop", 0, 1, 1, 0.0, shares=(yes, 1 - yes))

    return rehearse(protocol, Population((*POLICIES, *JUDGES)), reply)


def matches(episode: Episode) -> dict[int, float | None]:
    return {v.of: v.score for v in episode.outcome.verdicts if v.kind == "match"}


def test_judges_say_which_answers_match_in_place_of_the_verifier() -> None:
    episode = played(Equivalent(talk=Consensus()), "41", "42", "42")

    assert episode.outcome.reference == "42"
    assert matches(episode) == {0: 0.0, 1: 1.0, 2: 1.0}
    own = [v for v in episode.outcome.verdicts if v.by is not None]
    assert {(v.kind, v.criterion) for v in own} == {
        ("criterion", "comes to the same as the reference")
    }
    assert len(own) == 6


def test_a_panel_that_is_divided_evenly_decides_nothing() -> None:
    def reply(turn: int, say: Say) -> str:
        return ("yes" if say.agent.name == "j0" else "no") if say.choices else "42"

    episode = rehearse(Equivalent(talk=Consensus()), Population((*POLICIES, *JUDGES)), reply)

    assert matches(episode) == {0: None, 1: None, 2: None}


def test_the_reference_is_heard_where_it_was_said_and_not_where_its_words_stand_again() -> None:
    def reply(turn: int, say: Say) -> str:
        return "7" if not say.choices or "10" in say.choices else "yes"

    talk = Equivalent(talk=Consensus(weigh="confidence"))
    episode = rehearse(talk, Population((*POLICIES, *JUDGES)), reply)

    assert episode.outcome.source == 0
    judging = [t for t in episode.turns if t.agent.name.startswith("j")]
    assert {t.heard for t in judging} == {(0,), (0, 1), (0, 2)}


def test_softly_an_answer_matches_by_how_likely_it_is_the_same() -> None:
    episode = played(Equivalent(talk=Consensus(), soft=True), "43", "42", "42")

    assert matches(episode) == {0: pytest.approx(0.4), 1: pytest.approx(0.9), 2: pytest.approx(0.9)}


def test_what_no_judge_can_say_is_nobodys_match() -> None:
    episode = played(Equivalent(talk=Consensus()), "41", "42", "42", unreadable=True)

    assert matches(episode) == {0: None, 1: None, 2: None}
    assert episode.outcome.notes["verdicts_unreadable"] == 1.0


def test_nothing_is_preferred_or_demonstrated_by_letter_against_the_judges() -> None:
    outcome = played(Equivalent(talk=Consensus()), "41", "42", "42").outcome

    assert Equivalent(talk=Consensus()).yields == {"reference"}
    assert (outcome.preferences, outcome.demonstrations) == ((), ())


def test_without_a_reference_nobody_is_asked() -> None:
    episode = played(Equivalent(talk=Consensus()), "?", "?", "?")

    assert episode.outcome.reference is None
    assert len(episode.turns) == 3


def test_cat_learns_from_it() -> None:
    rollouts = CaT().examples(played(Equivalent(talk=Consensus()), "41", "42", "42"))

    assert [r.reward for r in rollouts] == [0.0, 1.0, 1.0]


def test_a_talk_without_a_reference_is_refused() -> None:
    with pytest.raises(ValidationError, match="gives no reference to compare answers with"):
        Equivalent(talk=Sample())
