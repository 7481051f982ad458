"""Replay: a run is played again from what another said, and asks only for what that one lacks.

One turn may say something else than it did: then who heard it is asked anew, and who heard them,
and all others say what they said.
"""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from moot.agents.errors import InputError, near
from moot.agents.late import Late
from moot.agents.types import HALF, Completion, Request, Weights
from moot.protocols.journal import empty

from ..experiment import Experiment
from ..files.directory import JOURNAL, RESOLVED, replays
from .recording import RECORDING, Changes, Recording, address, earlier, take

CHANGE = re.compile(r"(?P<episode>.+?):(?P<turn>\d{1,9})=(?P<text>.*)", re.DOTALL)
FEW = 20
"""Episodes that are named one by one where none is like the one that was meant."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What the user asks for."""

    of: Path
    """The directory of the run that is replayed; it is only read."""
    changes: Changes

    def told(self) -> str:
        """Return it in words, for the run's directory."""
        changed = {**earlier(self.of), **self.changes}
        turns = ", ".join(f"{episode}:{turn}" for episode, turn in changed)
        return f"of {self.of.resolve()}" + (f"; changed: {turns}" if turns else "")

    def options(self) -> list[str]:
        """Return what asks for it on the command line."""
        said = (f"{episode}:{turn}={text}" for (episode, turn), text in self.changes.items())
        return ["--from", str(self.of), *(word for one in said for word in ("--change", one))]


def asked(of: Path | None, changes: Sequence[str]) -> Replay | None:
    """Return the replay that `--from` and the `--change`s ask for; `None`: they aren't there.

    Raises:
        InputError: there is no such run, or no such turn in it.
    """
    if of is None:
        if changes:
            raise InputError("--change: goes with --from DIR, the run that is to be replayed")
        return None
    for name in (RESOLVED, JOURNAL):
        if not (of / name).is_file():
            raise InputError(f"--from {of}: holds no run (there is no {name})")
    found: dict[tuple[str, int], str] = {}
    for change in changes:
        if HALF.search(change):  # bytes of an argument that are no text
            raise InputError(f"--change {ascii(change)[:60]}: isn't UTF-8")
        parts = CHANGE.fullmatch(change)
        if parts is None:
            raise InputError(
                f"--change {change[:60]}: expected EPISODE:TURN=TEXT, e.g. cycle-000/task-3:1=42"
            )
        place = parts["episode"], int(parts["turn"])
        if place in found:
            raise InputError(f"--change {parts['episode']}:{parts['turn']}: is given twice")
        found[place] = parts["text"]
    _check(of, found)
    return Replay(of, found)


def _check(of: Path, changes: Changes) -> None:
    """Raise what keeps the run in `of` from being replayed with these changes."""
    before = earlier(of)
    try:
        with closing(sqlite3.connect(address(of / JOURNAL), uri=True)) as db:
            db.execute("select 1 from said limit 1").fetchone()
            for episode, turn in changes:
                rows = db.execute("select distinct turn from said where episode = ?", (episode,))
                known = {row[0] for row in rows} | {n for name, n in before if name == episode}
                label = f"--change {episode}:{turn}"
                if not known or episode.startswith("canary/"):
                    raise InputError(f"{label}: no episode '{episode}'{_instead(db, episode)}")
                if turn not in known:
                    raise InputError(
                        f"{label}: in that episode turns {min(known)} to {max(known)} were said"
                    )
    except sqlite3.Error as error:
        raise InputError(f"--from {of}: its journal can't be read: {error}") from None


def _instead(db: sqlite3.Connection, episode: str) -> str:
    query = "select distinct episode from said where episode not like 'canary/%' order by episode"
    known = [row[0] for row in db.execute(query)]
    if (meant := near(episode, known, show=len(known) <= FEW)) or not known:
        return meant or "; nothing was said in that run yet"
    return f"; there are {len(known)}, {known[0]} to {known[-1]}"


def apart(out: Path, replay: Replay) -> None:
    """Raise unless `out` lies apart from what is replayed, which is never written to."""
    if out.resolve().is_relative_to(replay.of.resolve()):
        raise InputError(f"--out {out}: that is what is replayed; a replay needs another directory")


@contextmanager
def recorded(
    experiment: Experiment, out: Path, replay: Replay | None
) -> Generator[Recording | None]:
    """Yield what the run in `out` replays, taken over when it begins; `None`: it replays nothing.

    It begins as long as nothing was said there.

    Raises:
        InputError: it began without a replay, or replays something else, or was stopped before it
            had taken over anything.
    """
    path = out / RECORDING
    if replay is not None and empty(out / JOURNAL):
        path.unlink(missing_ok=True)  # of an earlier try, perhaps with other changes
        take(replay.of, replay.changes, experiment, path)
    elif not path.is_file():
        if replay is not None:
            raise InputError(f"{out}: holds a run that is no replay; choose another --out")
        if empty(out / JOURNAL) and (meant := replays(out)):
            raise InputError(
                f"{out}: was to be a replay {meant}, and was stopped before it had those words; "
                "name that run again, with --from, or choose another --out"
            )
        yield None
        return
    with closing(Recording(path)) as recording:
        if replay is not None:
            _compare(recording, replay, out)
        yield recording


def _compare(recording: Recording, replay: Replay, out: Path) -> None:
    if recording.of != replay.of.resolve():
        raise InputError(f"{out}: replays {recording.of}; choose another --out")
    if replay.changes and replay.changes != recording.own:
        turns = ", ".join(f"{episode}:{turn}" for episode, turn in recording.own) or "none"
        raise InputError(
            f"{out}: replays {recording.of} with other changes ({turns}); choose another --out, or "
            "leave --change out to go on"
        )


@dataclass(frozen=True, slots=True)
class Replayed:
    """An engine that says what is recorded, and asks the one behind it for the rest."""

    name: str
    behind: Late
    recording: Recording
    tell: Callable[[str], None]

    async def generate(self, request: Request) -> Completion:
        """Return what was recorded, else what the engine says."""
        known = self.recording.recall(self.name, request)
        return await self.behind.generate(request) if known is None else known

    async def load(self, weights: Weights) -> None:
        """Serve `weights` from now on; what was recorded of others by their name doesn't hold."""
        if not await asyncio.to_thread(self.recording.meet, weights):
            self.tell(
                f"  {weights.name}, version {weights.version}, isn't what spoke in the recording: "
                "it is asked anew"
            )
        await self.behind.load(weights)

    async def held(self) -> Mapping[str, int]:
        """Return the version held of each weights."""
        return await self.behind.held()

    async def rest(self) -> None:
        """Leave the GPU's memory to others until the next call, if it has any."""
        await self.behind.rest()
