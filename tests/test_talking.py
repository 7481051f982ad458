"""Every protocol once with a real language model, at temperature 1, on the stage."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from moot.agents.local import Local
from moot.agents.population import Group, Population
from moot.agents.types import Sampling, Task
from moot.experiments.talk import measured
from moot.protocols.consensus import Consensus
from moot.protocols.debate import Debate
from moot.protocols.journal import Journal
from moot.protocols.mixture import Mixture
from moot.protocols.reconcile import ReConcile
from moot.protocols.reflection import Reflection
from moot.protocols.sample import Sample
from moot.protocols.selection import Selection
from moot.protocols.stage import Stage
from moot.protocols.synthesis import Synthesis
from moot.protocols.topology import Ring
from moot.protocols.types import Episode, Protocol
from moot.protocols.verifiers import VERIFIERS

PROTOCOLS: list[Protocol] = [
    Sample(),
    Consensus(samples=2),
    Synthesis(by="critic"),
    Reflection(rounds=3),
    Debate(),
    Debate(topology=Ring(), sees="summary"),
    Mixture(),
    ReConcile(),
    Consensus(weigh="confidence"),
    Selection(samples=2),
    Selection(by="perplexity"),
    Selection(by="mutual"),
]
Changing = Debate | Mixture | ReConcile | Reflection
"""Those in which answers are given more than once."""
PEOPLE = Population(
    (
        *Group(name="solver", count=4, sampling=Sampling(max_tokens=10)).agents("main"),
        *Group(name="writer", role="critic", sampling=Sampling(max_tokens=10)).agents("main"),
    )
)
TASKS = [
    Task(f"{a}+{a}", f"What is {a} + {a}? Reply with only the number.", str(2 * a), verifier)
    for verifier in [VERIFIERS["number"]]
    for a in (1, 2)
]


@pytest.mark.model
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.kind)
def test_a_real_model_talks_and_what_it_said_is_measured(
    protocol: Protocol, tmp_path: Path
) -> None:
    async def talk() -> list[Episode]:
        with Journal(tmp_path / "journal.sqlite") as journal:
            async with Local(model="smollm2-135m-instruct", device="cpu").open(tmp_path) as engine:
                stage = Stage({"main": engine}, journal, 0)
                played = stage.play(protocol, TASKS, PEOPLE, "cycle-000")
                return [one async for one in played if isinstance(one, Episode)]

    episodes = asyncio.run(talk())

    assert len(episodes) == 2
    for episode in episodes:
        spoke, most = Counter(turn.agent for turn in episode.turns), protocol.calls(PEOPLE)
        assert spoke <= Counter(most)
        if not isinstance(protocol, Selection) and not any(agent.role == "judge" for agent in most):
            # All have something to hear, so nobody falls silent: all calls are made.
            assert spoke == most
        assert all(turn.completion.tokens for turn in episode.turns)
        assert len({turn.text for turn in episode.turns}) > 1
    found = {m.name: m.value for m in measured(episodes, 0, protocol.yields)}
    assert all(0 <= found[f"talk/{name}"] <= 1 for name in ("accuracy", "unreadable"))
    assert ("talk/corrected" in found) == isinstance(protocol, Changing)
