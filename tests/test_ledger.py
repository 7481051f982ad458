"""The ledger: what turns took, added up, and what it cost."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from rich.progress import Progress

from moot.agents.errors import Refusal
from moot.agents.population import Agent, Population
from moot.agents.price import Price
from moot.agents.scripted import ScriptedEngine
from moot.agents.task import Task
from moot.agents.types import Completion, Request
from moot.experiments.progress import Spending, money, parts
from moot.protocols.journal import Journal
from moot.protocols.ledger import Ledger, Spent, Usage
from moot.protocols.stage import Stage, StageSettings
from moot.protocols.synthesis import Synthesis
from moot.protocols.types import Turn
from moot.protocols.verifiers import VERIFIERS

PRICE = Price(tokens_in=3, tokens_cached=1, tokens_out=10)
SOLVER = Agent("solver-0", "policy", "main", group="solver")


def turn(agent: Agent = SOLVER, tries: int = 1, cached: int = 0) -> Turn:
    said = Completion("4", "stop", 0, 100, 20, 0.5, tokens_cached=cached, tries=tries)
    return Turn(0, 0, agent, agent.prompt("2 + 2?"), said, (), "4")


def test_tokens_cost_what_a_million_of_them_cost() -> None:
    # 600 read for the first time at 3, 400 again at 1, 50 said at 10.
    assert PRICE.cost(1000, 400, 50) * 1e6 == pytest.approx(1800 + 400 + 500)
    plain = Price(tokens_in=3, tokens_out=10)
    assert plain.cost(1000, 400, 50) * 1e6 == pytest.approx(3000 + 500)


def test_turns_are_added_up_by_phase_protocol_and_who_spoke() -> None:
    ledger = Ledger({"main": PRICE})
    judge = replace(SOLVER, role="judge")
    for one in (turn(tries=3, cached=40), turn(), turn(judge)):
        ledger.turn("cycle-000", "judged", one)
    ledger.turn("held-out-001@solver-0", "consensus", turn())

    mine, judging, held_out = ledger.usage()

    assert mine == Usage(
        "cycle-000",
        "judged",
        "solver-0",
        "solver",
        "policy",
        "main",
        Spent(2, 200, 40, 40, 1.0, 2, PRICE.cost(200, 40, 40)),
    )
    assert (judging.role, judging.spent.calls) == ("judge", 1)
    assert held_out.phase == "held-out-001"
    assert ledger.spent().calls == 4


def test_who_judges_several_evaluations_has_one_account_of_them_all() -> None:
    ledger = Ledger({"main": PRICE})
    for n, name in ((3, "solver-0"), (2, "solver-1")):
        for _ in range(n):
            ledger.turn(f"win-rate-001@{name}", "duel", turn())

    whole = [Spent(5, 500, 0, 100, 2.5, 0, PRICE.cost(500, 0, 100))]
    assert [one.spent for one in ledger.usage()] == whole
    closed = ledger.close()
    assert [one.spent for one in closed] == whole
    assert Ledger({"main": PRICE}, closed).usage() == ledger.usage()  # to the last bit of its cost


def test_what_has_no_price_adds_nothing_to_the_cost() -> None:
    assert Spent(1) + Spent(2) == Spent(3)
    assert (Spent(1, cost=2.0) + Spent(2)).cost == 2.0
    assert sum([Spent(cost=1.0), Spent(cost=2.0)], Spent()).cost == 3.0


def test_accounts_outlive_the_process_and_are_told_at_the_prices_of_now(tmp_path: Path) -> None:
    first = Ledger()
    first.turn("cycle-000", "debate", turn(tries=2))
    with Journal(tmp_path / "j") as journal:
        journal.account(first.close())
        journal.account(first.close())  # nothing is open: nothing is written
    assert first.spent() == Spent()

    with Journal(tmp_path / "j") as journal:
        second = Ledger({"main": PRICE}, journal.accounts())

    [told] = second.usage()
    assert told.spent == Spent(1, 100, 0, 20, 0.5, 1, PRICE.cost(100, 0, 20))
    assert [replace(one, spent=replace(one.spent, cost=None)) for one in [told]] == first.usage()


def test_a_phase_that_begins_again_keeps_the_fuller_account() -> None:
    ledger = Ledger()
    for _ in range(3):
        ledger.turn("cycle-000", "debate", turn())
    ledger.close()

    ledger.turn("cycle-000", "debate", turn())  # the first is replayed
    assert [one.spent.calls for one in ledger.usage()] == [3]
    assert ledger.spent().calls == 1
    for _ in range(4):
        ledger.turn("cycle-000", "debate", turn())
    assert [one.spent.calls for one in ledger.usage()] == [5]
    assert [one.spent.calls for one in ledger.close()] == [5]


def test_turns_of_an_episode_that_fails_are_counted_and_so_are_replayed_ones(
    tmp_path: Path,
) -> None:
    def reply(request: Request) -> str:
        if "1?" in request.prompt[-1].content and request.weights is None:
            raise Refusal("too long")
        return "4"

    people = Population(
        (
            Agent("a", "policy", "main", weights="w"),
            Agent("b", "critic", "main"),
        )
    )
    tasks = [Task(f"t{i}", f"{i}?", None, VERIFIERS["number"]) for i in range(2)]
    protocol = Synthesis(by="critic", question="shown")
    with Journal(tmp_path / "j") as journal:
        for _ in range(2):
            ledger = Ledger()
            settings = StageSettings(max_failed_episodes=1)
            engines = {"main": ScriptedEngine(reply)}
            stage = Stage(engines, journal, 0, settings, told=ledger.turn)

            async def all_of(stage: Stage = stage) -> int:
                return len([e async for e in stage.play(protocol, tasks, people, "cycle-000")])

            assert asyncio.run(all_of()) == 2
            calls = {one.agent: one.spent.calls for one in ledger.usage()}
            assert calls == {"a": 2, "b": 1}
            assert {one.protocol for one in ledger.usage()} == {"synthesis"}


def test_a_line_says_what_there_is_to_say() -> None:
    plain = Spent(96, 12_345, 0, 2_345, 9.0)
    full = Spent(1, 1000, 710, 2, 9.0, 1, 0.12)

    assert list(parts(Spent())) == []
    assert ", ".join(parts(plain)) == "96 calls, 12,345 tokens in, 2,345 out"
    assert (
        ", ".join(parts(full)) == "1 call, 1,000 tokens in (71% cached), 2 out, 1 retry, 0.12 cost"
    )
    assert [money(n) for n in (0, 0.00123, 0.5, 1234.5)] == ["0.00", "0.0012", "0.50", "1,234.50"]


def test_the_live_line_says_how_fast_words_come_and_what_they_cost() -> None:
    clock = iter([0.0, *[4.0] * 9])
    progress = Progress(get_time=lambda: next(clock), disable=True)
    progress.add_task("talk")  # at 0 s; it is drawn at 4 s
    ledger = Ledger({"main": Price(tokens_in=0, tokens_out=1e5)})
    column = Spending(ledger)

    assert column.render(progress.tasks[0]).plain == ""
    for _ in range(3):
        ledger.turn("cycle-000", "debate", turn())
    assert column.render(progress.tasks[0]).plain == "15 tokens/s out, 6.00 cost"
