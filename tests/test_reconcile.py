"""Round tables, played by hand: what is shown, what confidence weighs, and when it is over."""

from dataclasses import replace

import pytest

from moot.agents.population import Agent, Population
from moot.agents.types import Completion
from moot.protocols.confidence import RECALIBRATED, confidence
from moot.protocols.conformance import TASK, rehearse
from moot.protocols.consensus import Consensus
from moot.protocols.reconcile import Convincing, ReConcile
from moot.protocols.types import Episode, Protocol, Say

POLICIES = tuple(Agent(f"p{i}", "policy", "main", persona="Be brief.") for i in range(3))
PEOPLE = Population(POLICIES)


def held(protocol: Protocol, texts: list[str], task: str = TASK.id) -> Episode:
    """Return the episode in which turn i says texts[i]."""
    return rehearse(protocol, PEOPLE, lambda turn, say: texts[turn], replace(TASK, id=task))


@pytest.mark.parametrize(
    ("stated", "weight"),
    [(0.0, 0.1), (0.5, 0.1), (0.6, 0.1), (0.7, 0.3), (0.8, 0.5), (0.9, 0.8), (1.0, 1.0)],
)
def test_confidence_is_recalibrated_as_in_the_paper(stated: float, weight: float) -> None:
    shares = tuple(float(tenth == round(10 * stated)) for tenth in range(11))

    found = confidence(shares, by=3)

    assert (found.stated, found.weight, found.by) == (stated, weight, 3)


def test_confidence_is_the_mean_of_what_is_likely() -> None:
    shares = (*[0.0] * 7, 0.25, 0.0, 0.25, 0.5)

    found = confidence(shares, by=0)

    assert found.stated == pytest.approx(0.25 * 0.7 + 0.25 * 0.9 + 0.5 * 1.0)
    assert found.weight == pytest.approx(0.25 * 0.3 + 0.25 * 0.8 + 0.5 * 1.0)
    assert len(RECALIBRATED) == 11


def test_policies_answer_say_how_sure_they_are_and_read_the_groups() -> None:
    texts = ["a 42", "b 41", "c 42", "8", "10", "6", "d 42", "e 41", "f 42", "9", "10", "5"]

    episode = held(ReConcile(), texts)

    asked = episode.turns[4]
    assert (asked.agent.name, asked.agent.role, asked.answer) == ("p1", "judge", None)
    assert [m.role for m in asked.prompt] == ["system", "user", "assistant", "user"]
    assert asked.prompt[1].content == TASK.prompt
    assert asked.prompt[2].content == "b 41"
    assert asked.heard == (1,)
    again = episode.turns[6]
    text = again.prompt[-1].content
    assert [m.role for m in again.prompt] == ["system", "user"]
    assert again.heard == (0, 1, 2, 3, 4, 5)
    question, *groups, task = text.split("\n\n")
    assert question == f"Question: {TASK.prompt}"
    assert task.startswith("These are answers of 3 agents")
    alone, together = sorted(groups, key=len)
    assert alone.startswith("This one agrees with no other:")
    assert "\nb 41\n</answer>\nConfidence: 1.0" in alone
    assert together.startswith("These 2 agree on their answer:")
    assert "\na 42\n</answer>\nConfidence: 0.8" in together
    assert "\nc 42\n</answer>\nConfidence: 0.6" in together
    assert {turn.prompt for turn in episode.turns[6:9]} == {again.prompt}
    assert episode.turns[10].heard == (0, 1, 2, 3, 4, 5, 7)
    assert episode.turns[10].prompt[1].content == text


def test_confidence_outvotes_the_majority() -> None:
    texts = ["42", "41", "41", "0", "0", "0", "42", "so 41", "so 41", "9", "7", "8"]

    ties = [held(ReConcile(), texts, task=f"t{i}").outcome for i in range(20)]
    sure = held(ReConcile(), [*texts[:-3], "10", "7", "8"]).outcome

    assert {(one.answer, one.notes["tied"]) for one in ties} == {("42", 1.0), ("41", 1.0)}
    assert (sure.answer, sure.reference, sure.majority) == ("42", "42", "41")
    found = [(v.kind, v.of, v.score) for v in sure.verdicts]
    assert [(of, score) for kind, of, score in found if kind == "match"] == [
        (0, 1.0),
        (1, 0.0),
        (2, 0.0),
        (6, 1.0),
        (7, 0.0),
        (8, 0.0),
    ]
    assert [(of, score) for kind, of, score in found if kind == "weight"] == [
        (6, 1.0),
        (7, 0.3),
        (8, 0.5),
    ]
    assert sure.notes == {"tied": 0.0, "rounds": 2.0, "unweighed": 0.0}


def test_it_is_over_when_all_who_can_be_read_agree_and_nobody_is_asked_how_sure() -> None:
    at_once = held(ReConcile(rounds=5), ["42", "?", "is 42"])
    later = held(ReConcile(rounds=5), ["42", "41", "42", "9", "9", "9", "42", "42", "42"])

    assert (len(at_once.turns), at_once.outcome.answer) == (3, "42")
    assert at_once.outcome.notes == {"tied": 0.0, "rounds": 1.0}
    assert (len(later.turns), later.outcome.notes["rounds"]) == (9, 2.0)
    assert later.outcome.verdicts[1].score == 0.0


def test_confidence_that_cannot_be_read_is_asked_for_again_and_then_abstains() -> None:
    texts = ["42", "41", "41", "very", "9", "8", "10", "", "no", "", "no"]
    # p0 says 10 at last; in the second vote nobody says anything.
    again = held(ReConcile(rounds=1), texts[:7])
    vote = held(Consensus(weigh="confidence"), ["42", "41", "40", "very", "9", "", "much", ""])

    assert [turn.agent.name for turn in again.turns[3:]] == ["p0", "p1", "p2", "p0"]
    assert again.outcome.answer == "41"  # .8 + .5 against 1
    assert (vote.outcome.answer, vote.outcome.notes["unweighed"]) == ("41", 2 / 3)
    assert len(vote.turns) == 8
    verdicts = vote.outcome.verdicts
    assert [v.score for v in verdicts if v.kind == "match"] == [0.0, 1.0, 0.0]
    assert [v.score for v in verdicts if v.kind == "weight"] == [None, 0.8, None]


def test_who_gives_no_answer_is_not_asked_how_sure_it_is_and_not_heard() -> None:
    episode = held(ReConcile(), ["hm", "41", "42", "9", "8", "42", "42", "42"])

    assert [turn.agent.name for turn in episode.turns[3:5]] == ["p1", "p2"]
    assert episode.turns[5].heard == (1, 2, 3, 4)
    assert "hm" not in episode.turns[5].prompt[-1].content
    silent = rehearse(ReConcile(), PEOPLE, lambda turn, say: "hm")
    assert {turn.prompt[-1].content for turn in silent.turns} == {TASK.prompt}
    assert (len(silent.turns), silent.outcome.answer) == (6, None)


def test_what_is_not_known_is_shown_as_that() -> None:
    texts = ["41", "42", "43", "9", "?", "8", "?", "1", "1", "1"]

    episode = held(ReConcile(), texts)

    assert "\n42\n</answer>\nConfidence: not known" in episode.turns[7].prompt[-1].content
    assert episode.turns[7].heard == (0, 1, 2, 3, 5)


def test_convincing_answers_stand_first_in_a_discussion() -> None:
    example = Convincing(question="What is 1 + 1?", reasoning="Count {groups}.", answer="2")

    episode = held(ReConcile(convincing=(example,)), ["41", "42", "42", *"999", *"111"])

    start = "Question: What is 1 + 1?\nCount {groups}.\nAnswer: 2\n\nQuestion: What is 20 + 22?"
    assert episode.turns[6].prompt[-1].content.startswith(start)
    assert episode.turns[0].prompt[-1].content == TASK.prompt


def test_the_calls_that_are_planned_are_the_most_that_are_made() -> None:
    # Everybody differs to the end, and says how sure it is at the second time of asking.
    def reply(turn: int, say: Say) -> str | Completion:
        return ("5" if "could not be read" in say.text else "?") if say.choices else str(turn)

    for protocol in (ReConcile(rounds=3), Consensus(weigh="confidence", samples=2)):
        turns = rehearse(protocol, PEOPLE, reply).turns
        spoke = [turn.agent for turn in turns]
        assert {agent: spoke.count(agent) for agent in spoke} == protocol.calls(PEOPLE)


def test_groups_stand_in_another_order_for_another_task() -> None:
    orders = set[tuple[int, ...]]()
    for i in range(60):
        script = ReConcile()(replace(TASK, id=f"t{i}"), PEOPLE)
        next(script)
        answers = list(held(ReConcile(), [*"123", *"999", *"123", *"999"]).turns)
        script.send(answers[:3])
        text = script.send(answers[3:6])[0].text
        orders.add(tuple(text.index(f"\n{one}\n</answer>") for one in "123"))

    assert len({tuple(sorted(range(3), key=order.__getitem__)) for order in orders}) == 6
