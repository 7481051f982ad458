"""Every protocol conforms, in all its ways; and the suite finds what doesn't."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from pydantic import ConfigDict

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.protocols.conformance import Nonconformity, check
from moot.protocols.consensus import Consensus, matches
from moot.protocols.critique import Critique
from moot.protocols.debate import Debate
from moot.protocols.equivalent import Equivalent
from moot.protocols.judged import Judged
from moot.protocols.judging.listwise import Listwise
from moot.protocols.judging.pairwise import Pairwise
from moot.protocols.judging.pointwise import Pointwise
from moot.protocols.mixture import Mixture
from moot.protocols.moderated import Moderated
from moot.protocols.reconcile import Convincing, ReConcile
from moot.protocols.reflection import Reflection
from moot.protocols.rubric import Rubric
from moot.protocols.sample import Sample
from moot.protocols.selection import Selection
from moot.protocols.synthesis import Synthesis
from moot.protocols.topology import Chain, Chance, Layered, Regular, Ring, SmallWorld, Star
from moot.protocols.tournament import Tournament
from moot.protocols.trial import Trial
from moot.protocols.types import Outcome, Protocol, Say, Script, Verdict

WAYS: list[Protocol] = [
    Sample(samples=3),
    Consensus(quorum=0.5),
    Consensus(unreadable="lost"),
    Synthesis(),
    Synthesis(sees="answer", question="shown"),
    Synthesis(by="critic"),
    Reflection(samples=2, rounds=3),
    Debate(),
    Debate(rounds=4, until_agreed=True),
    Debate(rounds=3, sees="named", topology=Ring()),
    Debate(rounds=3, sees="answer", topology=Star(hub="policy-2")),
    Debate(rounds=3, sees="summary", topology=Chain()),
    Debate(rounds=3, topology=Layered(widths=(2, 1, 1))),
    Debate(rounds=3, topology=Regular(degree=2), redraw="round", sees="summary"),
    Debate(rounds=3, topology=SmallWorld(degree=2, rewire=0.5), redraw="episode"),
    Debate(rounds=5, topology=Chance(p=0.4), redraw="round"),
    Judged(talk=Sample(samples=2), judging=Pairwise(pairs=3)),
    Judged(talk=Debate(rounds=3), judging=Pairwise(reasons=True)),
    Judged(talk=Synthesis(), judging=Pointwise()),
    Judged(talk=Reflection(), judging=Pointwise(reasons=True), margin=0.2),
    Judged(judging=Listwise()),
    Equivalent(talk=Synthesis(samples=2)),
    Equivalent(talk=Debate(rounds=2), soft=True, reasons=True),
    Rubric(review=True),
    Rubric(talk=Sample(samples=2), source="disagreement", by="critic", weights="labelled"),
    Rubric(talk=Debate(), question="shown", weights="signed", score="implicit"),
    Rubric(talk=Reflection(), source="question", most=6),
    Rubric(written="[5] Says 42\n[-1] Is huge", talk=Sample()),
    Consensus(ties="none", weigh="trust"),
    Consensus(weigh="likelihood"),
    Consensus(samples=2, weigh="confidence", quorum=0.5),
    Selection(samples=2),
    Selection(who="anchor"),
    Selection(by="perplexity"),
    Selection(samples=2, by="mutual"),
    Mixture(layers=3),
    Mixture(by="critic"),
    ReConcile(),
    ReConcile(rounds=4, convincing=(Convincing(question="1 + 1?", reasoning="So", answer="2"),)),
    Judged(talk=ReConcile(), judging=Pointwise()),
    Judged(talk=Mixture(), judging=Pairwise()),
    Rubric(talk=Selection(samples=2)),
    Rubric(talk=ReConcile(), question="shown"),
    Critique(),
    Critique(by="critic", revisions=3, principles="in_turn"),
    Judged(talk=Critique(), judging=Pointwise()),
    Moderated(),
    Moderated(rounds=1),
    Trial(),
    Trial(samples=2, questions=True, speak="in_turn", rounds=3),
    Trial(form="consultancy", questions=True, judge_sees="source"),
    Tournament(samples=2),
    Tournament(samples=2, rounds=3),
    Judged(talk=Moderated(rounds=2), judging=Pairwise()),
    Rubric(talk=Trial(samples=2), question="shown"),
]


@pytest.mark.parametrize("protocol", WAYS, ids=str)
def test_our_protocols_conform(protocol: Protocol) -> None:
    check(protocol)


class Broken(Sample):
    """Two answer, and then a third that may do something it should not."""

    model_config = ConfigDict(frozen=False)
    last: Callable[[list[Say]], Say]
    result: Callable[[int], Outcome] = lambda turns: Outcome()

    def __call__(self, task: Task, people: Population) -> Script:
        policies = people.playing("policy")
        first = [Say(policy, task.prompt) for policy in policies[:2]]
        turns = yield first
        said = [Say(turn.agent, turn.text) for turn in turns]
        turns += yield [self.last(said)]
        return self.result(len(turns))


JUDGE = Agent("judge-0", "judge", "main", "judge")
THIRD = Agent("policy-2", "policy", "main", "policy", weights="policy")


OUT_OF_TURN: list[tuple[Callable[[list[Say]], Say], str]] = [
    (lambda said: Say(JUDGE, "?"), "judge-0 spoke 1 times as judge; `calls` allows 0"),
    (lambda said: Say(THIRD, "?", heard=(7,)), "turn 2 heard (7,): not all were said before"),
    (lambda said: Say(THIRD, "?", heard=(1, 1)), "turn 2 heard (1, 1): some twice"),
    (
        lambda said: Say(THIRD, said[0].text),
        "turn 2 was shown turn 0, which isn't in `heard`",
    ),
    (
        lambda said: Say(THIRD, said[0].text, heard=(0, 1)),
        "replies that forge turns: turn 2: what an agent said begins a turn",
    ),
]


@pytest.mark.parametrize(("last", "problem"), OUT_OF_TURN)
def test_a_protocol_that_speaks_or_hears_out_of_turn_is_found(
    last: Callable[[list[Say]], Say], problem: str
) -> None:
    with pytest.raises(Nonconformity) as found:
        check(Broken(last=last))

    assert problem in str(found.value)


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (Outcome(verdicts=(Verdict(9, "match", 1.0),)), "a turn that wasn't"),
        (Outcome(verdicts=(Verdict(0, "match", 1.5),)), "outside [0, 1]"),
        (Outcome(verdicts=(Verdict(0, "match", 0.5),)), "with empty replies"),
        (Outcome(reference="42"), "`yields` doesn't say so"),
        (Outcome(notes={"odd": float("nan")}), "not all finite"),
    ],
)
def test_a_conclusion_out_of_nothing_is_found(outcome: Outcome, problem: str) -> None:
    with pytest.raises(Nonconformity) as found:
        check(Broken(last=lambda said: Say(THIRD, "?"), result=lambda turns: outcome))

    assert problem in str(found.value)


def test_judges_whose_verdicts_are_kept_back_are_found() -> None:
    class Silent(Judged):
        def __call__(self, task: Task, people: Population) -> Script:
            return replace((yield from super().__call__(task, people)), verdicts=())

    with pytest.raises(Nonconformity, match="by judge's turn 4, of which there is no verdict"):
        check(Silent())


def test_a_protocol_with_a_memory_is_found() -> None:
    memory: list[int] = []

    def remembering(said: list[Say]) -> Say:
        memory.append(1)
        return Say(THIRD, f"{len(memory)}?")

    with pytest.raises(Nonconformity, match="come out otherwise"):
        check(Broken(last=remembering))


def test_a_protocol_without_an_end_is_found() -> None:
    class Endless(Sample):
        def __call__(self, task: Task, people: Population) -> Script:
            while True:
                yield [Say(policy, task.prompt) for policy in people.playing("policy")]

    with pytest.raises(Nonconformity, match="has not ended"):
        check(Endless())


def test_matches_leave_the_unreadable_unscored() -> None:
    check(Consensus())
    assert matches([], "42") == ()
