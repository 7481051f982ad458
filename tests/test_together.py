"""Samples of one prompt in one request, against a stand-in of vLLM's server."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from standing_in import Site, adapter, found, heard, request

from moot.agents.engine import Engine
from moot.agents.errors import Fault
from moot.agents.limits.gate import Gate
from moot.agents.population import Agent, Population
from moot.agents.serving.together import MOST, SHORT
from moot.agents.task import Task
from moot.agents.types import Completion, Request, Sampling
from moot.protocols.consensus import Consensus
from moot.protocols.journal import Journal
from moot.protocols.stage import Stage
from moot.protocols.types import Episode
from moot.protocols.verifiers import VERIFIERS


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return found(tmp_path, monkeypatch)


def told(said: Sequence[Completion]) -> list[tuple[int, int, int, int]]:
    """Return, of each: the samples in its request, that request's seed, its own, and which chat."""
    about: list[dict[str, Any]] = [heard(one) for one in said]
    return [(one["body"]["n"], one["body"]["seed"], one["seed"], one["chats"]) for one in about]


async def at_once(engine: Engine, asked: Iterable[Request]) -> list[Completion]:
    return await asyncio.gather(*map(engine.generate, asked))


def test_requests_whose_seeds_follow_one_another_are_one(site: Site) -> None:
    asked = [request("hi", seed=5 + i) for i in range(4)]
    said = site.play(partial(at_once, asked=asked))

    assert told(said) == [(4, 5, 5 + i, 1) for i in range(4)]
    for one in said:
        assert (one.tokens_in, one.tokens_out, one.tokens, one.version) == (3, 2, (7, 2), 0)
    # The server tells of one that it had the prompt; of the first nobody can say.
    assert [one.tokens_cached for one in said] == [0, 1, 1, 1]


def test_each_gets_what_it_would_get_by_itself(site: Site) -> None:
    async def part(engine: Engine) -> None:
        requests = [request("hi", seed=5 + i) for i in range(3)]
        together = await at_once(engine, requests)
        apart = [await engine.generate(one) for one in requests]
        assert [seed for _, _, seed, _ in told(together)] == [5, 6, 7]
        assert told(apart) == [(1, 5, 5, 2), (1, 6, 6, 3), (1, 7, 7, 4)]

    site.play(part)


def test_what_differs_in_anything_else_is_asked_apart(site: Site) -> None:
    first, second = request("hi", seed=1), request("hi", seed=2)
    longer = second.sampling.model_copy(update={"max_tokens": 13})
    for other in (
        request("ho", seed=2),
        request("hi", seed=1),
        request("hi", seed=3),
        request("hi", seed=0),
        replace(second, sampling=longer),
        replace(second, shape='{"type": "object"}'),
        replace(second, choices=("1", "2")),
        replace(second, weights="pupil", version=1),
    ):

        async def part(engine: Engine, other: Request = other) -> list[Completion]:
            await engine.load(adapter(site.folder))
            said, _ = await at_once(engine, (first, other))
            return [said]

        assert told(site.play(part))[0][0] == 1


def test_runs_of_seeds_among_others_are_found(site: Site) -> None:
    seeds = [3, 4, 9, 10, 11, 4]
    asked = [request("hi", seed=seed) for seed in seeds]
    said = site.play(partial(at_once, asked=asked))

    assert [one[:3] for one in told(said)] == [
        (2, 3, 3), (2, 3, 4), (3, 9, 9), (3, 9, 10), (3, 9, 11), (1, 4, 4)
    ]  # fmt: skip


def test_seeds_that_start_anew_for_the_server_are_apart(site: Site) -> None:
    last = 2**31 - 1
    asked = [request("hi", seed=last + i) for i in (0, 1)]
    said = site.play(partial(at_once, asked=asked))

    assert [one[:3] for one in told(said)] == [(1, last, last), (1, 0, 0)]


def test_the_likeliest_words_are_asked_one_by_one(site: Site) -> None:
    greedy = Sampling(temperature=0)
    asked = [replace(request("hi", seed=i), sampling=greedy) for i in range(2)]

    assert [one[0] for one in told(site.play(partial(at_once, asked=asked)))] == [1, 1]


def test_answers_that_may_be_long_are_asked_one_by_one(site: Site) -> None:
    for most, n in ((SHORT, 2), (SHORT + 1, 1)):
        sampling = Sampling(max_tokens=most)
        asked = [replace(request("hi", seed=i), sampling=sampling) for i in range(2)]
        said = site.play(partial(at_once, asked=asked))
        assert [one[0] for one in told(said)] == [n, n]


def test_one_request_has_a_bound(site: Site) -> None:
    asked = [request("hi", seed=i) for i in range(MOST + 1)]
    counts = [one[0] for one in told(site.play(partial(at_once, asked=asked)))]

    assert counts == [MOST] * MOST + [1]


def test_without_ids_log_probs_tell_how_much_each_has_said(site: Site) -> None:
    asked = [request("no ids", seed=i) for i in range(3)]
    said = site.play(partial(at_once, asked=asked))

    assert [(one.tokens_out, one.tokens, one.logprobs) for one in said] == [(2, (), ())] * 3


def test_a_fault_of_many_is_one_to_the_breaker(site: Site) -> None:
    async def part(engine: Engine, gate: Gate) -> None:
        site.trouble("500")
        said = await asyncio.gather(*(gate.generate(request("hi", seed=i)) for i in range(16)))
        # Were it counted for each, they would be let through one by one from then on.
        assert max(heard(one)["running"] * heard(one)["body"]["n"] for one in said) > 1

    site.gated(part, arguments=("--latency", "0.05"))


def test_adapters_speak_together_too(site: Site) -> None:
    async def part(engine: Engine) -> None:
        await engine.load(adapter(site.folder))
        said = await at_once(engine, [request("hi", 1, "pupil", seed=i) for i in range(3)])
        assert [one.version for one in said] == [1, 1, 1]
        assert {heard(one)["body"]["n"] for one in said} == {3}

    site.play(part)


@pytest.mark.parametrize("mood", ["500", "429", "half", "garbled", "forget"])
def test_a_fault_is_everyones_and_all_are_asked_again(site: Site, mood: str) -> None:
    async def part(engine: Engine, gate: Gate) -> None:
        await gate.load(adapter(site.folder))
        site.trouble(mood)
        asked = [request("hi", 1, "pupil", seed=i) for i in range(4)]
        said = await asyncio.gather(*map(gate.generate, asked))
        assert [heard(one)["seed"] for one in said] == [0, 1, 2, 3]
        if mood != "forget":  # which that chat goes on after
            assert {one.tries for one in said} == {2}

    site.gated(part)


def test_an_answer_with_too_few_samples_is_a_fault(site: Site) -> None:
    async def part(engine: Engine) -> None:
        asked = (engine.generate(request("too few", seed=i)) for i in range(4))
        for one in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(one, Fault)
            assert "of 4 samples it gave those numbered [1, 0]" in str(one)

    site.play(part)


def test_who_goes_away_takes_nobodys_answer(site: Site) -> None:
    async def part(engine: Engine, gone: int) -> list[Completion | BaseException]:
        asked = [asyncio.create_task(engine.generate(request("hi", seed=i))) for i in range(3)]
        await asyncio.sleep(0.1)
        asked[gone].cancel()
        return await asyncio.gather(*asked, return_exceptions=True)

    slow = ("--latency", "0.5")
    one, two, three = site.play(lambda engine: part(engine, 1), arguments=slow)
    assert isinstance(two, asyncio.CancelledError)
    assert isinstance(one, Completion)
    assert isinstance(three, Completion)
    # The first asks for all: the others are asked again, as after any fault that may pass.
    one, *others = site.play(lambda engine: part(engine, 0), arguments=slow)
    assert isinstance(one, asyncio.CancelledError)
    for other in others:
        assert isinstance(other, Fault)
        assert "was given up" in str(other)


def test_a_round_of_agents_who_are_alike_is_one_request(site: Site) -> None:
    short = Sampling(max_tokens=SHORT)
    agents = tuple(Agent(f"solver-{i}", "policy", "main", sampling=short) for i in range(4))
    task = Task("sum", "What is 3 + 4?", "7", VERIFIERS["number"])

    async def part(engine: Engine, gate: Gate) -> list[Completion]:
        with Journal(site.folder / "journal.sqlite") as journal:
            stage = Stage({"main": gate}, journal, seed=1)
            played = stage.play(Consensus(), [task], Population(agents), "cycle-000")
            (episode,) = [one async for one in played]
            assert isinstance(episode, Episode)
            # Again, from the journal: an answer of the server's would say that it is another's.
            played = stage.play(Consensus(), [task], Population(agents), "cycle-000")
            assert [one async for one in played] == [episode]
            return [turn.completion for turn in episode.turns]

    said = told(site.gated(part))
    assert {one[0] for one in said} == {4}
    assert len({one[2] for one in said}) == 4
    assert len({one[3] for one in said}) == 1
