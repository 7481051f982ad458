"""Every protocol once with a real language model, at temperature 1, on the stage."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from moot.agents.embedded.local import Local
from moot.agents.population import Group, Population
from moot.agents.task import Task
from moot.agents.types import Sampling
from moot.experiments.cycle.talk import Notes
from moot.protocols.consensus import Consensus
from moot.protocols.critique import Critique
from moot.protocols.debate import Debate
from moot.protocols.journal import Journal
from moot.protocols.judged import Judged
from moot.protocols.judging.listwise import Listwise
from moot.protocols.judging.pointwise import Pointwise
from moot.protocols.mixture import Mixture
from moot.protocols.moderated import Moderated
from moot.protocols.reconcile import ReConcile
from moot.protocols.reflection import Reflection
from moot.protocols.rubric import Rubric
from moot.protocols.sample import Sample
from moot.protocols.selection import Selection
from moot.protocols.stage import Stage
from moot.protocols.synthesis import Synthesis
from moot.protocols.topology import Ring
from moot.protocols.tournament import Tournament
from moot.protocols.trial import Trial
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
    Critique(),
    Critique(by="critic", revisions=2),
    Moderated(rounds=1),
    Trial(rounds=1, questions=True),
    Tournament(rounds=2),
    Judged(),
    Judged(judging=Pointwise(reasons=True)),
    Judged(talk=Debate(), judging=Listwise()),
    Rubric(talk=Synthesis(max_tokens=10), max_tokens=10),
    Rubric(talk=Sample(), written="[1] States a number\n[-1] Is not a number", score="implicit"),
]
Changing = Critique | Debate | Mixture | ReConcile | Reflection
"""Those in which answers are given more than once."""
Talk = Callable[[Protocol], list[Episode]]
SHORT = Sampling(max_tokens=10)
PEOPLE = Population(
    (
        *Group(name="solver", count=4, sampling=SHORT).agents("main"),
        *Group(name="writer", role="critic", sampling=SHORT).agents("main"),
        *Group(name="judge", role="judge", count=2, sampling=Sampling(max_tokens=40)).agents(
            "main"
        ),
    )
)
TASKS = [
    Task(f"{a}+{a}", f"What is {a} + {a}? Reply with only the number.", str(2 * a), verifier)
    for verifier in [VERIFIERS["number"]]
    for a in (1, 2)
]


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """Play a protocol on the tasks, by a model that is loaded once."""
    folder = tmp_path_factory.mktemp("talk")
    with asyncio.Runner() as loop:
        stack = AsyncExitStack()
        local = Local(model="smollm2-135m-instruct", device="cpu")
        engine = loop.run(stack.enter_async_context(local.open(folder)))

        async def played(protocol: Protocol) -> list[Episode]:
            with Journal(Path(":memory:")) as journal:
                stage = Stage({"main": engine}, journal, 0)
                some = stage.play(protocol, TASKS, PEOPLE, "cycle-000")
                return [one async for one in some if isinstance(one, Episode)]

        yield lambda protocol: loop.run(played(protocol))
        loop.run(stack.aclose())


@pytest.mark.model
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.kind)
def test_a_real_model_talks_and_what_it_said_is_measured(protocol: Protocol, talk: Talk) -> None:
    episodes = talk(protocol)

    assert len(episodes) == 2
    for episode in episodes:
        spoke, most = Counter(turn.agent for turn in episode.turns), protocol.calls(PEOPLE)
        assert spoke <= Counter(most)
        adaptive = isinstance(protocol, Selection | Trial | Tournament)
        if not adaptive and not any(agent.role == "judge" for agent in most):
            # All have something to hear, so nobody falls silent: all calls are made.
            assert spoke == most
        assert all(turn.completion.tokens for turn in episode.turns)
        assert len({turn.text for turn in episode.turns}) > 1
    notes = Notes(protocol.yields)
    for episode in episodes:
        notes.add(episode)
    found = {m.name: m.value for m in notes.metrics(0)}
    assert all(0 <= found[f"talk/{name}"] <= 1 for name in ("accuracy", "unreadable"))
    inner = getattr(protocol, "talk", protocol)
    assert ("talk/corrected" in found) == isinstance(inner, Changing)
    if isinstance(protocol, Judged | Tournament | Trial):
        own = [v.score for e in episodes for v in e.outcome.verdicts if v.by is not None]
        if not isinstance(protocol, Judged) or not isinstance(protocol.judging, Listwise):
            assert None not in own  # a model in this process tells how likely each choice is
