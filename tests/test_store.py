"""What a run's files say of a turn, an episode, a number and an account."""

from dataclasses import replace
from pathlib import Path

import pytest
from command import rows
from handmade import write_episodes
from told import episode, turn

from moot.agents.population import Agent
from moot.experiments.files.store import write_metrics, write_usage, writing
from moot.protocols.journal import Metric
from moot.protocols.ledger import Spent, Usage
from moot.protocols.types import Demonstration, Verdict


def test_a_turn_says_who_spoke_what_with_which_weights_and_how_likely_it_was(
    tmp_path: Path,
) -> None:
    first, last = turn(0, "4", tokens=(7, 8), group="g"), turn(1, "so 5", round=1)
    said = replace(first.completion, version=3, logprobs=(-0.5, -0.25), tries=2)
    spoken = replace(first, completion=said), replace(last, heard=(0,))

    write_episodes(tmp_path, 2, [episode(spoken)])

    one, other = rows(tmp_path / "turns.parquet")
    assert (one["cycle"], one["episode"], one["task"], one["turn"]) == (2, "e", "t", 0)
    assert (one["agent"], one["group"], one["weights"]) == ("p0", "g", "w")
    assert (one["weights_version"], one["tries"], one["tokens_out"]) == (3, 2, 2)
    assert (one["text"], one["answer"], one["correct"], one["logprob"]) == ("4", "4", True, -0.75)
    assert (other["group"], other["round"], other["heard"]) == ("p1", 1, [0])
    assert (other["answer"], other["correct"], other["logprob"]) == ("5", False, None)


def test_an_episode_says_what_was_concluded_beside_what_most_said(tmp_path: Path) -> None:
    told = episode([turn(0, "5")], answer="4", majority="5", verdicts=(Verdict(0, "grade", 0.5),))
    silent = episode([turn(0, "?")], "f")

    write_episodes(tmp_path, 0, [told, silent])

    one, other = rows(tmp_path / "episodes.parquet")
    assert (one["answer"], one["correct"]) == ("4", True)
    assert (one["majority"], one["majority_correct"], one["expected"]) == ("5", False, "4")
    assert (other["answer"], other["majority"]) == (None, None)
    [verdict] = rows(tmp_path / "verdicts.parquet")
    assert (verdict["episode"], verdict["of"], verdict["score"]) == ("e", 0, 0.5)


def test_a_demonstration_stands_in_the_chat_that_it_is_to_be_said_in(tmp_path: Path) -> None:
    shown = Demonstration(asked=0, said=1, name="revision")
    told = episode([turn(0, "5"), turn(1, "4", asked="Look again.")], demonstrations=(shown,))

    with writing(tmp_path, 0, lessons=True) as add:
        add(told)

    [one] = rows(tmp_path / "demonstrations.parquet")
    assert one["prompt"] == [{"role": "user", "content": told.task.prompt}]
    assert one["completion"] == [{"role": "assistant", "content": "4"}]
    assert (one["agent"], one["turn"], one["name"]) == ("p1", 1, "revision")


def test_what_is_of_no_step_has_none(tmp_path: Path) -> None:
    write_metrics(
        tmp_path / "m.parquet", [Metric(1, "a", 2.0, 1.0, 3.0), Metric(0, "b", 1, step=0)]
    )

    one, other = rows(tmp_path / "m.parquet")
    assert (one["cycle"], one["step"], one["value"], one["low"], one["high"]) == (1, None, 2, 1, 3)
    assert (other["step"], other["low"]) == (0, None)


@pytest.mark.parametrize(
    ("phase", "cycle"),
    [("cycle-007", 7), ("held-out-002", 2), ("controls-vote-3", None), ("baseline", None)],
)
def test_an_account_is_of_the_cycle_that_its_phase_is_of(
    phase: str, cycle: int | None, tmp_path: Path
) -> None:
    who = Agent("a", "policy", "main")
    one = Usage(phase, "debate", who.name, "g", who.role, who.engine, Spent(2, 30, 10, 5, 1.5, 1))

    write_usage(tmp_path / "u.parquet", [one])

    [found] = rows(tmp_path / "u.parquet")
    assert (found["cycle"], found["phase"], found["group"]) == (cycle, phase, "g")
    spent = [found[name] for name in ("calls", "tokens_in", "tokens_cached", "tokens_out")]
    assert spent == [2, 30, 10, 5]
    assert (found["seconds"], found["retries"], found["cost"]) == (1.5, 1, None)
