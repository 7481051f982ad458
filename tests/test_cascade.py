"""A cascade, played by hand: what goes to the experts, and what their word is worth."""

from dataclasses import replace
from pathlib import Path

import pytest
from judged_talk import POLICIES, panel, shown, sure
from pydantic import ValidationError

from moot.agents.errors import InputError
from moot.agents.population import Agent, Population
from moot.agents.types import Completion
from moot.experiments.yaml.loading import load
from moot.protocols.conformance import rehearse
from moot.protocols.judged import Judged
from moot.protocols.judging.cascade import Cascade
from moot.protocols.judging.pairwise import Pairwise
from moot.protocols.types import Episode, Say

MODEL, PERSON = Agent("model", "judge", "main"), Agent("anna-0", "judge", "page", group="anna")
PEOPLE = Population((*POLICIES, MODEL, PERSON))
DECLINED = Completion("", "declined", 0, 0, 0, 0.0)
BELIEVED = {("41", "42"): 0.1, ("41", "43"): 0.55, ("42", "43"): 0.8}
"""How likely the model finds the first better."""


def played(
    people: Population = PEOPLE, person: str | Completion = "43", sure_from: float = 0.8
) -> Episode:
    """Return an episode of which the person prefers one reply to all others, or says that."""

    def reply(turn: int, say: Say) -> str | Completion:
        if not say.choices:
            return ["41", "42", "43"][turn]
        first, second = shown(say)
        if say.agent.name == PERSON.name:
            return person if isinstance(person, Completion) else "12"[second == person]
        p = BELIEVED.get((first, second))
        p = 1 - BELIEVED[second, first] if p is None else p
        return sure(p, 1 - p)

    judging = Cascade(experts=("anna",), sure=sure_from)
    return rehearse(Judged(judging=judging), people, reply)


def pairs(episode: Episode, judge: Agent) -> set[frozenset[int]]:
    """Return the pairs that a judge was asked about."""
    return {frozenset(t.heard) for t in episode.turns if t.agent == judge}


def test_what_the_panel_is_not_sure_of_the_experts_decide() -> None:
    episode = played()

    assert pairs(episode, MODEL) == {frozenset(two) for two in ((0, 1), (0, 2), (1, 2))}
    assert pairs(episode, PERSON) == {frozenset((0, 2))}
    assert panel(episode, "preference") == {
        (0, 1): pytest.approx(0.1),
        (0, 2): 0.0,  # the person's, not .55
        (1, 2): pytest.approx(0.8),
    }
    assert panel(episode, "grade") == {
        (0, None): pytest.approx(0.05),
        (1, None): pytest.approx(0.85),
        (2, None): pytest.approx(0.6),
    }
    who = {p.chosen: {episode.turns[t].agent for t in p.by} for p in episode.outcome.preferences}
    assert [p.probability for p in episode.outcome.preferences if p.chosen == 2] == [1.0]
    assert who == {1: {MODEL}, 2: {PERSON}}  # those who decided, and nobody they overruled


def test_how_sure_is_sure_enough_is_said() -> None:
    assert pairs(played(sure_from=0.85), PERSON) == {frozenset((0, 2)), frozenset((1, 2))}
    assert pairs(played(sure_from=0.54), PERSON) == set()
    everything = played(sure_from=1.0)
    assert pairs(everything, PERSON) == pairs(everything, MODEL)


def test_what_the_experts_cant_tell_is_left_to_the_panel() -> None:
    episode = played(person=DECLINED)

    assert panel(episode, "preference")[0, 2] == pytest.approx(0.55)
    own = [v for v in episode.outcome.verdicts if v.by is not None and v.score is None]
    assert len(own) == 2  # both orders; nobody was asked twice
    assert len([t for t in episode.turns if t.agent == PERSON]) == 2


def test_what_nobody_can_tell_has_no_verdict() -> None:
    people = Population((*POLICIES[:2], MODEL, PERSON))

    def mute(turn: int, say: Say) -> str | Completion:
        return DECLINED if say.choices else ["41", "42"][turn]

    episode = rehearse(Judged(judging=Cascade(experts=("anna",))), people, mute)

    assert panel(episode, "preference") == {(0, 1): None}
    assert panel(episode, "grade") == {(0, None): None, (1, None): None}
    assert episode.outcome.preferences == ()


def test_experts_are_heard_whatever_they_are_trusted() -> None:
    people = Population((*POLICIES, MODEL, replace(PERSON, trust=0.0)))
    assert panel(played(people), "preference")[0, 2] == 0.0
    unheard = Population((*POLICIES, replace(MODEL, trust=0.0), PERSON))
    assert len({frozenset(t.heard) for t in played(unheard).turns if t.agent == PERSON}) == 3


def test_an_expert_to_whom_both_are_even_leaves_it_to_the_panel() -> None:
    episode = played(person=sure(0.5, 0.5))

    assert panel(episode, "preference")[0, 2] == pytest.approx(0.55)


def test_experts_may_be_asked_otherwise_than_the_panel() -> None:
    once = Cascade(experts=("anna",), asking=Pairwise(both_orders=False, better="the kinder"))

    def reply(turn: int, say: Say) -> str | Completion:
        return "2" if say.choices else ["41", "42", "43"][turn]

    episode = rehearse(Judged(judging=once), PEOPLE, reply)
    hers = [t for t in episode.turns if t.agent == PERSON]
    assert len(hers) == len(pairs(episode, PERSON)) == 3
    assert all("the kinder" in t.prompt[-1].content for t in hers)
    assert len([t for t in episode.turns if t.agent == MODEL]) == 6
    assert once.calls(3) == Pairwise().calls(3)
    reasons = Cascade(experts=("anna",), asking=Pairwise(reasons=True))
    assert reasons.calls(3) == Pairwise(reasons=True).calls(3)
    with pytest.raises(ValidationError, match="`pairs` means nothing in `asking`"):
        Cascade(experts=("anna",), asking=Pairwise(pairs=1))


def test_where_a_cast_lacks_either_whoever_judges_decides_all() -> None:
    alone = Population((*POLICIES, MODEL))
    assert panel(played(alone), "preference")[0, 2] == pytest.approx(0.55)
    people = Population((*POLICIES, PERSON))
    assert panel(played(people), "preference") == {(0, 1): 0.5, (0, 2): 0.0, (1, 2): 0.0}


def test_an_expert_speaks_at_most_as_often_as_any_judge() -> None:
    cascade = Cascade(experts=("anna",), judging=Pairwise(pairs=2))

    assert cascade.calls(3) == Pairwise(pairs=2).calls(3) == 8


@pytest.mark.parametrize(
    ("experts", "error"),
    [
        ("[ana]", r"x.yaml:10:\d+ protocol.judging.experts.0: no judge.*did you mean 'anna'"),
        ("[solver]", r"no judge and no group of them is called 'solver'"),
        ("[judge, anna]", r"x.yaml:10:\d+ protocol.judging.experts: all judges are experts"),
        ("[]", r"protocol.judging.experts: "),
    ],
)
def test_experts_are_some_of_the_judges(experts: str, error: str, tmp_path: Path) -> None:
    text = """\
name: x
engines: {main: {kind: simulated}}
population:
  - {name: solver, count: 3}
  - {name: judge, role: judge, count: 2}
  - {name: anna, role: judge}
tasks: {kind: simulated, held_out: 2, per_cycle: 4}
protocol:
  kind: judged
  judging: {kind: cascade, experts: EXPERTS}
"""
    (tmp_path / "x.yaml").write_text(text.replace("EXPERTS", experts))

    with pytest.raises(InputError, match=error):
        load(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_text(text.replace("EXPERTS", "[anna, judge-1]"))
    load(tmp_path / "x.yaml")
