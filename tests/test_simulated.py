"""Simulated agents: protocols held against what theory says of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from math import log, prod
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from scipy import stats

from moot.agents.engine import Engine
from moot.agents.population import Agent, Population
from moot.agents.questions import question, truth
from moot.agents.simulated import Simulated
from moot.agents.task import Task
from moot.agents.types import Message, Request, Sampling
from moot.protocols.conformance import rehearse
from moot.protocols.consensus import Consensus
from moot.protocols.debate import Debate
from moot.protocols.journal import Journal
from moot.protocols.stage import Stage
from moot.protocols.synthesis import Synthesis
from moot.protocols.topology import Ring, Star, Written
from moot.protocols.types import Episode, Protocol
from moot.protocols.verifiers import VERIFIERS


def play(
    protocol: Protocol,
    n: int,
    engines: Sequence[Simulated],
    options: int | None = 2,
    trust: Sequence[float] = (),
) -> list[Episode]:
    """Return `n` episodes among one agent for each of `engines`, trusted alike or so much."""
    names = [f"e{i}" for i in range(len(engines))]
    policies = (Agent(f"a{i}", "policy", name) for i, name in enumerate(names))
    each = zip(policies, trust or [1.0] * len(names), strict=True)
    people = Population(tuple(replace(policy, trust=weight) for policy, weight in each))
    verifier = VERIFIERS["choice" if options else "number"]
    asked = [question(i, options) for i in range(n)]
    tasks = [Task(f"t{i}", text, truth(text), verifier) for i, text in enumerate(asked)]

    async def all_of() -> list[Episode]:
        opened: dict[str, Engine] = {}
        for name, engine in zip(names, engines, strict=True):
            opened[name] = await engine.open(Path()).__aenter__()
        with Journal(Path(":memory:")) as journal:
            stage = Stage(opened, journal, 0)
            played = [e async for e in stage.play(protocol, tasks, people, "cycle-000")]
        return [one for one in played if isinstance(one, Episode)]

    return asyncio.run(all_of())


def inside(hits: int, n: int, p: float) -> bool:
    """Return whether `hits` of `n` lie in the central 99.9 % of the binomial."""
    low, high = stats.binom.interval(0.999, n, p)
    return float(low) <= hits <= float(high)


@pytest.mark.parametrize(("n", "p"), [(1, 0.6), (5, 0.6), (9, 0.7), (5, 0.4)])
def test_a_majority_is_right_as_often_as_the_binomial_tail_says(n: int, p: float) -> None:
    episodes = play(Consensus(), 2000, [Simulated(competence=p)] * n)

    tail = float(stats.binom.sf(n // 2, n, p))
    assert inside(sum(bool(e.correct) for e in episodes), 2000, tail)


def test_a_vote_weighed_by_log_odds_is_right_as_often_as_the_best_vote_there_is() -> None:
    competences = [0.85, 0.8, 0.6, 0.6, 0.55]
    engines = [Simulated(competence=p) for p in competences]
    trust = [log(p / (1 - p)) for p in competences]

    weighed = play(Consensus(weigh="trust"), 4000, engines, trust=trust)

    # Of two options, either as likely to be right: who votes for the first one decides what is
    # likelier, and the likelier one is right that often.
    best = majority = 0.0
    for votes in product([True, False], repeat=5):
        each = list(zip(votes, competences, strict=True))
        first = prod(p if vote else 1 - p for vote, p in each)
        second = prod(1 - p if vote else p for vote, p in each)
        best += max(first, second) / 2
        majority += first if sum(votes) > 2 else 0.0
    assert max(competences) < best
    assert inside(sum(bool(e.correct) for e in weighed), 4000, best)
    assert inside(sum(bool(e.task.correct(e.outcome.majority)) for e in weighed), 4000, majority)
    assert not inside(sum(bool(e.correct) for e in weighed), 4000, majority)


def test_alone_an_agent_is_right_biased_and_unclear_as_often_as_it_says() -> None:
    agent = Simulated(competence=0.5, bias=0.2, noise=0.1)

    answers = [e.turns[0].answer for e in play(Consensus(), 4000, [agent], options=4)]

    assert inside(sum(answer is None for answer in answers), 4000, 0.1)
    # A is said out of bias, or as the truth (one in four), or as one of three wrong answers.
    share = 0.9 * (0.2 + 0.8 * (0.25 * 0.5 + 0.75 * 0.5 / 3))
    assert inside(sum(answer == "A" for answer in answers), 4000, share)


def test_debate_of_unbiased_updaters_is_a_martingale_and_gains_nothing_over_the_vote() -> None:
    episodes = play(Debate(rounds=4), 3000, [Simulated(competence=0.6)] * 5)

    def right(number: int) -> list[float]:
        return [
            fmean(bool(e.task.correct(t.answer)) for t in e.turns if t.round == number)
            for e in episodes
        ]

    first = right(0)
    for number in (1, 2, 3):
        moved = np.subtract(right(number), first)
        assert abs(np.mean(moved)) < 3.3 * np.std(moved) / len(moved) ** 0.5
    before = sum(bool(e.task.correct(e.outcome.majority)) for e in episodes)
    after = sum(bool(e.correct) for e in episodes)
    assert after <= before  # the vote of the first answers has all there is to know


def test_conformists_agree_with_the_first_majority_and_the_stubborn_with_themselves() -> None:
    episodes = play(Debate(rounds=2), 200, [Simulated(conformity=1)] * 5)
    assert all(e.outcome.answer == e.outcome.majority for e in episodes)
    assert {t.answer for t in episodes[0].turns[5:]} == {episodes[0].outcome.majority}

    for episode in play(Debate(rounds=3), 50, [Simulated(stubbornness=1)] * 3):
        answers = [turn.answer for turn in episode.turns]
        assert answers[:3] == answers[3:6] == answers[6:]


def opinions(episode: Episode, n: int) -> Any:
    """Return (rounds, n) what was said."""
    return np.array([float(str(t.answer)) for t in episode.turns]).reshape(-1, n)


def test_degroot_agents_converge_to_the_mean_at_the_rate_of_the_second_eigenvalue() -> None:
    n, rounds = 7, 40
    [episode] = play(Debate(rounds=rounds, topology=Ring()), 1, [Simulated(spread=1)] * n, None)
    x = opinions(episode, n)
    ring = (np.eye(n) + np.roll(np.eye(n), 1, 0) + np.roll(np.eye(n), -1, 0)) / 3

    for t in range(rounds):
        assert x[t] == pytest.approx(np.linalg.matrix_power(ring, t) @ x[0], abs=1e-9)
    second = sorted(np.abs(np.linalg.eigvals(ring)))[-2]
    off = np.linalg.norm(x - x[0].mean(), axis=1)
    assert off[-1] / off[-2] == pytest.approx(second, rel=1e-4)


def test_friedkin_johnsen_agents_converge_to_the_closed_form_at_its_rate() -> None:
    n, rounds, s = 5, 40, np.array([0.9, 0.5, 0.9, 0.2, 0.7])
    engines = [Simulated(spread=1, susceptibility=float(one)) for one in s]
    [episode] = play(Debate(rounds=rounds, topology=Star()), 1, engines, None)
    x = opinions(episode, n)
    star = np.eye(n)
    star[0, :] = star[:, 0] = 1
    star /= star.sum(1, keepdims=True)

    limit = np.linalg.solve(np.eye(n) - np.diag(s) @ star, np.diag(1 - s) @ x[0])
    assert x[-1] == pytest.approx(limit, abs=1e-4)
    rate = max(np.abs(np.linalg.eigvals(np.diag(s) @ star)))
    off = np.linalg.norm(x - limit, axis=1)
    assert off[-1] / off[-2] == pytest.approx(rate, rel=1e-2)


def said(agent: Simulated, *messages: tuple[str, str], seed: int = 0) -> str:
    prompt = tuple(Message(role, text) for role, text in messages)  # type: ignore[arg-type]
    return agent.say(Request(prompt, Sampling(), seed))


def test_what_is_said_follows_from_the_request_alone() -> None:
    ask = ("user", question(7, 4))

    assert said(Simulated(competence=1), ask) == f"answer: {truth(question(7, 4))}"
    assert said(Simulated(), ask, seed=3) == said(Simulated(), ask, seed=3)
    assert len({said(Simulated(competence=0.25), ask, seed=i) for i in range(50)}) == 4
    assert said(Simulated(noise=1), ask) == "I can't tell."
    assert said(Simulated(), ("user", "What is 2 + 2?")) == "I can't tell."


def test_a_critic_passes_on_what_it_is_shown_and_a_synthesiser_the_plurality() -> None:
    policies = tuple(Agent(f"a{i}", "policy", "main") for i in range(3))
    people = Population((*policies, Agent("c", "critic", "main")))
    task = Task("t", question(1, 3), "A", VERIFIERS["choice"])
    texts = ["answer: C", "answer: B", "answer: C", "?"]
    for synthesis in (Synthesis(by="critic"), Synthesis(by="critic", sees="answer")):
        episode = rehearse(synthesis, people, lambda i, _: texts[i], task)
        asked = episode.turns[3].prompt[-1].content
        assert said(Simulated(conformity=1), ("user", asked)) == "answer: C"

    debate = Debate(
        sees="summary",
        topology=Written.model_validate({"edges": ({"speaker": "a1", "listener": "a0"},)}),
    )
    texts = ["answer: C", "answer: B", "answer: C", "answer: B", "?"]
    episode = rehearse(debate, people, lambda i, _: texts[i], task)
    assert said(Simulated(), ("user", episode.turns[3].prompt[-1].content)) == "answer: B"
    chat = [(m.role, m.content) for m in episode.turns[4].prompt]
    assert {said(Simulated(), *chat, seed=i) for i in range(20)} == {"answer: B", "answer: C"}


@pytest.mark.parametrize("options", [2, None])
def test_an_opinion_of_another_kind_is_none(options: int | None) -> None:
    ask = ("user", question(7, options))
    fence = '<answer number="{}">\nanswer: {}\n</answer>'
    heard = ("user", "\n".join([fence.format(1, "42"), fence.format(2, "B"), "Again?"]))

    after = said(Simulated(), ask, ("assistant", "I can't tell."), heard)

    assert after == ("answer: B" if options else "answer: 42.0")
    assert said(Simulated(), heard) in ("answer: B", "answer: 42")
