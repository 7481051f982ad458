"""A recording: what a run said, kept by another run that replays it.

It is one SQLite file, written whole when the replay begins, so the recorded run may go on or away.
A recorded completion holds for the same request, to an engine that is set as it was; and where
learnt weights speak, only if these weights are the same to the last bit: others would say something
else to the same request.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from moot.agents.errors import InputError, MootError, Refusal
from moot.agents.self_reward import FILE as SELF_REWARD
from moot.agents.types import Completion, Request, Weights
from moot.protocols.journal import completion, digest

from ..experiment import Experiment
from ..files.described import described, first, understood
from ..files.directory import DRIVEN, JOURNAL, RESOLVED
from ..files.table import whole
from ..yaml.source import read as source

RECORDING = "recording.sqlite"
Changes = Mapping[tuple[str, int], str]
"""What is said instead, by episode and turn."""
APART = DRIVEN | {"device"}
"""What may be otherwise of an engine whose recorded words hold."""
TELLING = ("adapter_config.json", SELF_REWARD)
"""Files beside the tensors that decide what weights say."""
SCHEMA = """
create table changes (episode text, turn integer, text text, own integer);
create table weights (name text, version integer, content text);
create table engines (name text);
create table origin (directory text);
create table said as select episode, turn, request, completion from there.said;
create index by_request on said (request);
create table refused (request text primary key, why text);
"""


class Recording:
    """What was recorded, and what is to be said instead."""

    def __init__(self, path: Path) -> None:
        """Open the recording at `path`."""
        self._db = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
        try:
            self.of = Path(self._db.execute("select directory from origin").fetchone()[0])
            rows = list(self._db.execute("select episode, turn, text, own from changes"))
            weights = self._db.execute("select name, version, content from weights")
            self._weights = {(name, version): content for name, version, content in weights}
            self._engines = {row[0] for row in self._db.execute("select name from engines")}
        except sqlite3.Error as error:
            self._db.close()
            raise MootError(f"{path}: the recording can't be read: {error}") from None
        self.changes: Changes = {(episode, turn): text for episode, turn, text, _ in rows}
        self.own: Changes = {(episode, turn): text for episode, turn, text, own in rows if own}
        """Those of this replay; the others were made in the run that it replays."""
        self._same = set[tuple[str | None, int]]()
        self.replayed = self.missed = 0
        """How many requests had their completions in it, and how many hadn't."""

    def recall(self, engine: str, request: Request) -> Completion | None:
        """Return what was said to `request` by this engine, if it is recorded and still holds.

        Raises:
            Refusal: it refused then.
        """
        found = None
        speaker = request.weights, request.version
        if engine in self._engines and (not request.version or speaker in self._same):
            found = self._found(digest(request))
        self.replayed += found is not None
        self.missed += found is None
        if isinstance(found, Refusal):
            raise found
        return found

    def _found(self, key: str) -> Completion | Refusal | None:
        """Return what became of the request of this digest; `None`: it wasn't asked.

        Its seed is part of it, and depends on the episode and the turn.
        """
        try:
            for query in ("completion from said", "why from refused"):
                row = self._db.execute(f"select {query} where request = ?", (key,)).fetchone()
                if row is not None:
                    return Refusal(row[0]) if "refused" in query else completion(row[0])
        except sqlite3.DatabaseError as error:
            raise MootError(f"the recording can't be read: {error}") from None
        return None

    def meet(self, weights: Weights) -> bool:
        """Return whether these weights are the ones that spoke; what they said holds from now."""
        speaker = weights.name, weights.version
        if same := self._weights.get(speaker) == content(weights.path):
            self._same.add(speaker)
        return same

    def strangers(self, experiment: Experiment) -> list[str]:
        """Return the engines of which nothing that is recorded holds."""
        return sorted(experiment.engines.keys() - self._engines)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


def take(of: Path, changes: Changes, experiment: Experiment, path: Path) -> None:
    """Write to `path` what the run in `of` said so far, and what is to be said instead.

    What was changed in that run already stays so, unless it is changed again.

    Raises:
        InputError: that run can't be read.
    """
    old = resolved(of)
    before = earlier(of)
    given = {**dict.fromkeys(before, 0), **dict.fromkeys(changes, 1)}
    texts = {**before, **changes}
    with whole(path) as beside:
        beside.unlink(missing_ok=True)  # a kill may have left one
        try:
            with closing(sqlite3.connect(beside, uri=True, isolation_level=None)) as db:
                db.execute("attach ? as there", (address(of / JOURNAL),))
                db.executescript(f"begin; {SCHEMA} commit;")
                if db.execute(
                    "select 1 from there.sqlite_master where name = 'refused'"
                ).fetchone():
                    db.execute("insert into refused select request, why from there.refused")
                db.execute("detach there")
                rows = [(*place, texts[place], own) for place, own in given.items()]
                db.executemany("insert into changes values (?, ?, ?, ?)", rows)
                # After what was said: whatever spoke was there by then.
                db.executemany("insert into weights values (?, ?, ?)", _spoke(of))
                names = [(name,) for name in _alike(old, experiment)]
                db.executemany("insert into engines values (?)", names)
                db.execute("insert into origin values (?)", (str(of.resolve()),))
        except sqlite3.Error as error:
            raise InputError(f"--from {of}: its journal can't be read: {error}") from None


def resolved(of: Path) -> Experiment:
    """Return the experiment of the run in `of`."""
    try:
        return understood(source(of / RESOLVED).data, of)
    except ValidationError as error:
        wrong = f"isn't an experiment of this version, or its code can't be read: {first(error)}"
        raise InputError(f"--from {of / RESOLVED}: {wrong}") from None


def earlier(of: Path) -> Changes:
    """Return what was changed in the run in `of`, which may be a replay itself."""
    if not (of / RECORDING).is_file():
        return {}
    with closing(Recording(of / RECORDING)) as recording:
        return recording.changes


def address(journal: Path) -> str:
    """Return how SQLite is to open a journal that is not ours: nothing is written beside it.

    Where a write-ahead log lies beside it, the run goes on or was killed, and the log is read too.
    """
    log = journal.with_name(f"{journal.name}-wal")
    return f"{journal.resolve().as_uri()}?{'mode=ro' if log.exists() else 'immutable=1'}"


def content(weights: Path) -> str:
    """Return a name for all that decides what the weights in this folder say."""
    found = sha256()
    for file in sorted(weights.glob("*.safetensors")):
        with file.open("rb") as opened:
            found.update(f"{file.name} {file_digest(opened, 'sha256').hexdigest()}\n".encode())
    for file in filter(Path.is_file, (weights / name for name in TELLING)):
        found.update(f"{file.name} {_told(file)}\n".encode())
    return found.hexdigest()


def _told(file: Path) -> str:
    """Return what a file beside the tensors says; an adapter's layers may be in any order there."""
    try:
        said: dict[str, Any] = json.loads(file.read_bytes())
        said["target_modules"] = sorted(said.get("target_modules") or ())
    except (ValueError, TypeError):
        raise MootError(f"{file}: is damaged: no JSON object as it was written") from None
    return json.dumps(said, sort_keys=True)


def _spoke(of: Path) -> Iterator[tuple[str, int, str]]:
    """Yield the weights that were published in the run in `of`."""
    for folder in sorted(of.glob("cycle-*/weights/*")):
        cycle = int(folder.parent.parent.name.removeprefix("cycle-"))
        yield folder.name, cycle + 1, content(folder)


def _alike(old: Experiment, new: Experiment) -> Iterator[str]:
    """Yield the engines that are set as they were, and serve nobody whom another served."""
    there, here = described(old)["engines"], described(new)["engines"]
    served = {agent.name: agent.engine for agent in old.people().agents}
    for name in here.keys() & there.keys():
        who = (agent.name for agent in new.people().agents if agent.engine == name)
        if _speaker(there[name]) == _speaker(here[name]) and all(
            served.get(agent) == name for agent in who
        ):
            yield name


def _speaker(engine: Mapping[str, object]) -> str:
    return json.dumps({k: v for k, v in engine.items() if k not in APART}, sort_keys=True)
