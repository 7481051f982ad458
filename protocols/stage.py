"""The stage: plays scripts, many at a time, each at its own pace.

An episode advances as its own turns arrive, with no barrier between episodes.  Every completion is
in the journal before the script sees it; scripts are pure, so resuming is replaying: the script
runs again, what was said comes from the journal, and only what is missing is asked of an engine.
"""

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b

from pydantic import Field

from moot.agents.engine import Engine
from moot.agents.errors import Fault, MootError, Refusal, Unverified
from moot.agents.population import Population
from moot.agents.task import Task
from moot.agents.types import Completion, Request, Settings

from .checking import check
from .journal import Journal, digest
from .types import Episode, Outcome, Protocol, Say, Script, Turn

AHEAD = 8
"""So many times the open episodes may have been begun since one that hasn't ended."""
SELDOM = (20_000, 50, 50)
"""When garbage is looked for while episodes are played.  They are records that hold no cycles, and
Python's own thresholds have it look through all of them again and again: a quarter of the time."""


class StageSettings(Settings):
    """How episodes are played."""

    open_episodes: int = Field(default=256, ge=1, le=100_000)
    """The most episodes under way at once."""
    max_failed_episodes: int = Field(default=0, ge=0)
    """How many episodes of one phase may fail, through faults that don't pass, requests that an
    engine refuses (too long, filtered), a verifier that raises an error, or lack of time; one more
    ends the run."""
    episode_s: float | None = Field(default=None, gt=0)
    """How long an episode may take, waiting for engines included, before it has failed. Unbounded
    if left out."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An episode that could not be played: a fault did not pass, say, or a request was refused."""

    id: str
    why: str
    refused: bool = False
    """Whether an engine won't answer one of its requests, as one that is too long."""


@dataclass(frozen=True, slots=True)
class _Play:
    """An episode under way."""

    id: str
    task: Task
    tell: Callable[[Turn], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where episodes are played: the engines, the journal, and the run's seed."""

    engines: Mapping[str, Engine]
    journal: Journal
    seed: int
    settings: StageSettings = StageSettings()
    told: Callable[[str, str, Turn], None] = lambda phase, protocol, turn: None
    """Is told of every turn, replayed ones and those of episodes that fail later too, with its
    phase and the protocol's name: for the ledger and the progress display."""
    bears_refusals: bool = False
    """Whether episodes may fail by refused requests, however many."""
    changes: Mapping[tuple[str, int], str] = field(default_factory=dict[tuple[str, int], str])
    """What is said in a turn, by episode and index, instead of asking its speaker."""

    async def play(
        self,
        protocol: Protocol,
        tasks: Iterable[Task],
        people: Population | Callable[[Task], Population],
        phase: str,
    ) -> AsyncGenerator[Episode | Failure]:
        """Yield each task's episode, in the order of the tasks.

        So nobody has to keep them to put them in order.  An episode that takes long holds back
        those after it: at most `AHEAD` times as many as may be open are begun before it ends.

        Args:
            protocol: the rules.
            tasks: what to work on; taken one at a time, as room comes free.
            people: who plays, at the versions their weights are to speak with; or who plays which
                task.
            phase: names this part of the run, e.g. `cycle-000`; part of each episode's id.

        Raises:
            MootError: an engine refused, or more episodes failed than may.
        """
        waiting = enumerate(tasks)
        playing: dict[asyncio.Task[Episode | Failure], tuple[int, Task]] = {}
        ended: asyncio.Queue[asyncio.Task[Episode | Failure]] = asyncio.Queue()
        done: dict[int, Episode | Failure] = {}
        due = failures = 0
        collecting = gc.get_threshold()
        gc.set_threshold(*SELDOM)
        try:
            while True:
                room = self.settings.open_episodes
                while len(playing) < room and len(playing) + len(done) < AHEAD * room:
                    i, task = next(waiting, (0, None))
                    if task is None:
                        break
                    cast = people if isinstance(people, Population) else people(task)
                    one = asyncio.create_task(self._episode(protocol, task, cast, phase))
                    one.add_done_callback(ended.put_nowait)
                    playing[one] = i, task
                if not playing:
                    return
                one = await ended.get()
                at, task = playing.pop(one)
                done[at] = result = one.result()
                if isinstance(result, Failure) and not (result.refused and self.bears_refusals):
                    failures += 1
                    if failures > self.settings.max_failed_episodes:
                        raise MootError(f"{phase}: {self._failed(failures, task)}: {result.why}")
                while due in done:
                    yield done.pop(due)
                    due += 1
        finally:
            if collecting != SELDOM:  # else others are played beside these, and see to it
                gc.set_threshold(*collecting)
            for one in playing:
                one.cancel()
            await asyncio.gather(*playing, return_exceptions=True)

    def _failed(self, number: int, last: Task) -> str:
        """Return that so many episodes failed, and the task of the last, in one line."""
        failed = f"{number} episode{'' if number == 1 else 's'} failed"
        may = f"{self.settings.max_failed_episodes} may (stage.max_failed_episodes)"
        question = " ".join(last.prompt.split())
        begun = question if len(question) <= 60 else f"{question[:59]}…"
        return f"{failed}, {may}; the last, task {last.id} ({begun!r})"

    async def _episode(
        self, protocol: Protocol, task: Task, people: Population, phase: str
    ) -> Episode | Failure:
        task = replace(task, episode=f"{self.seed}/{phase}")  # who reads it later draws as it did
        play = _Play(f"{phase}/{task.id}", task, partial(self.told, phase, protocol.kind))
        limit = self.settings.episode_s
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                turns, outcome = await self._talk(play, protocol(task, people))
                episode = Episode(play.id, task, protocol.kind, tuple(turns), outcome)
                await check(episode)
                return episode
        except TimeoutError:
            if not clock.expired():
                raise
            return Failure(play.id, f"it wasn't over within {limit:g} s (stage.episode_s)")
        except (Fault, Refusal, Unverified) as error:
            return Failure(play.id, str(error), isinstance(error, Refusal))

    async def _talk(self, play: _Play, script: Script) -> tuple[list[Turn], Outcome]:
        """Return the turns of all rounds of a script, and what came of it."""
        turns: list[Turn] = []
        number = 0
        try:
            wishes = next(script)
            while True:
                said = await self._round(play, wishes, len(turns), number)
                turns += said
                number += 1
                wishes = script.send(said)
        except StopIteration as end:
            return turns, end.value

    async def _round(self, play: _Play, wishes: list[Say], first: int, number: int) -> list[Turn]:
        """Return the turns that the wishes become; one that fails takes no other with it."""
        asked = [self._say(play, say, i, number) for i, say in enumerate(wishes, first)]
        turns: list[Turn] = []
        for one in await asyncio.gather(*asked, return_exceptions=True):
            if isinstance(one, BaseException):
                raise one
            turns.append(one)
        return turns

    async def _say(self, play: _Play, say: Say, index: int, number: int) -> Turn:
        agent, place = say.agent, (play.id, index)
        request = Request(
            prompt=agent.prompt(say.text, say.before),
            sampling=agent.sampling,
            seed=seed(self.seed, *place),
            weights=agent.weights,
            version=agent.version,
            choices=say.choices,
            shape=say.shape,
            verdict=say.verdict,
        )
        if (instead := self.changes.get(place)) is not None:
            said = Completion(instead, "stop", agent.version, 0, 0, 0.0)  # nobody read or spoke
        else:
            said = await ask(self.engines[agent.engine], self.journal, *place, request)
        turn = Turn(
            index=index,
            round=number,
            agent=agent,
            prompt=request.prompt,
            completion=said,
            heard=say.heard,
            answer=answer(play.task, say, said.text),
        )
        play.tell(turn)
        return turn


async def ask(
    engine: Engine, journal: Journal, episode: str, turn: int, request: Request
) -> Completion:
    """Return what the journal has for this request, else the engine's word, journalled first."""
    key = digest(request)
    if (known := journal.recall(episode, turn, key)) is not None:
        return known
    try:
        said = await engine.generate(request)
    except Refusal as error:
        journal.refuse(key, str(error))
        raise
    await journal.record(episode, turn, key, said)
    return said


def answer(task: Task, say: Say, text: str) -> str | None:
    """Return the answer to the task in `text`, which was said to `say`, if one was asked for."""
    return None if say.choices or say.shape else task.read(text)


def seed(experiment: int, episode: str, turn: int) -> int:
    """Return the seed of one utterance, in [0, 2**63): no episode depends on its neighbours.

    An episode's follow one another, as those of a request for several samples do on a server.
    """
    name = f"{experiment}/{episode}".encode()
    first = int.from_bytes(blake2b(name, digest_size=8).digest()) >> 1
    return (first + turn) % 2**63
