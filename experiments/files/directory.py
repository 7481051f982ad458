"""The run's directory belongs to one experiment and, while it runs, to one process."""

import fcntl
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from moot.agents.engine import Limits
from moot.agents.errors import InputError, MootError
from moot.agents.price import Price
from moot.agents.types import HALF
from moot.protocols.journal import empty

from ..experiment import Experiment
from ..tasks.split import Split
from .described import as_now, codes, described, first, flat, leaves, understood, written
from .ending import reopen
from .made import LEARNT, REPEATS, SEEDS, elsewhere, made_with
from .owned import FOLDER, keep
from .table import whole

RESOLVED, JOURNAL = "experiment.yaml", "journal.sqlite"
DRIVEN = frozenset(
    {
        *("limits", "url", "key_env", "host", "port", "start_s", "batch", "latency_s"),
        *("replicas", "gpus", "restarts", "sleep", "price", "max_loras"),
        *("gpu_memory_utilization", "kv_cache_gib"),
    }
)
"""Where an engine is and how it is driven; who speaks through it stays the same."""
FREE = re.compile(
    r"stage\..+"
    r"|fit\.(graphs|tolerance|processes|shard|recompute|batch_tokens|checkpoint_every|gpus(\.\d+)?)"
    rf"|engines\..+\.({'|'.join(sorted(DRIVEN))})"
    rf"(\.(\d+|{'|'.join((*Limits.model_fields, *Price.model_fields))}))?"
)
"""What changes nothing of what comes of a run: where engines are and how they are driven, how much
failure is borne, what tokens cost, how a pass is launched and divided, how often it is kept, how
far engines may be from the trainer."""
TASKS = re.compile(r"tasks\.(held_out_)?path")
"""Where tasks lie.  When a run goes on this may change, and so may where lies what is learnt beside
them (`LEARNT`): their content must be the same."""


def talk_folder(out: Path, cycle: int) -> Path:
    """Return where a cycle's talk and learning lie; its name is the phase's."""
    return out / f"cycle-{cycle:03d}"


def held_out_folder(out: Path, version: int) -> Path:
    """Return where the evaluation of a version of the weights lies; its name is the phase's."""
    return out / f"held-out-{version:03d}"


def examinee(episode: str, task: str) -> str:
    """Return whose an evaluation's episode is, FOLDER@NAME/TASK; empty: the only one's."""
    return episode.removesuffix(f"/{task}").partition("@")[2]


def win_rate_folder(out: Path, version: int) -> Path:
    """Return where judges compare a version with the first; its name is the phase's."""
    return out / f"win-rate-{version:03d}"


@contextmanager
def claim(
    experiment: Experiment, split: Split, out: Path, replay: str = ""
) -> Generator[Experiment]:
    """Hold `out` for this experiment: make it, or check that it is this experiment's own.

    What is `FREE` may differ, files may lie elsewhere, and cycles may be added; nothing else may
    differ, once anything has been said there.  What is yielded is the experiment with the user's
    own code as it is kept there, which nobody changes while the run goes on.

    Args:
        experiment: what is run there.
        split: its tasks.
        out: the directory.
        replay: what it replays, in words; empty: nothing, or it is in the directory already.

    Raises:
        MootError: another process runs there, another experiment does, the tasks have changed, or
            what was said is lost.
    """
    if HALF.search(str(out)):  # tables and their readers take names in UTF-8 alone
        raise InputError(f"--out {str(out)!a}: isn't UTF-8; choose another --out")
    resolved = out / RESOLVED
    there = sorted(p.name for p in out.iterdir()) if out.is_dir() else []
    others = [name for name in there if not name.startswith(".") and name != FOLDER]
    if others and not resolved.is_file():
        raise InputError(f"{out}: holds {others[0]} but no run; choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        reason = "is a file" if out.is_file() else f"can't be written: {error.strerror or error}"
        raise InputError(f"{out}: {reason}; choose another --out") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MootError(f"{out}: another moot is running there") from None
        made = made_with(experiment, split, flat(described(experiment)))
        made |= {"replay": replay} if replay else {}
        if resolved.is_file():
            before = _read(resolved)
            if not _unsaid(out) or ("replay" in before["made_with"] and not replay):
                _compare(before, made, experiment, out)
                _remembered(out)
                batched = {} if made["rerun"] == REPEATS else {"rerun": made["rerun"]}
                began = not replay or not empty(out / JOURNAL)
                made = before["made_with"] | batched | ({} if began else {"replay": replay})
                if before.get("cycles") != experiment.cycles:
                    reopen(out, out / JOURNAL)
        kept = _kept(experiment, out)
        with whole(resolved) as beside:
            beside.write_text(written({**described(kept), "made_with": made}), encoding="utf-8")
        yield kept


def _kept(experiment: Experiment, out: Path) -> Experiment:
    """Return the experiment with the user's own code as it is kept in the directory from now on."""
    mine = codes(experiment)
    if not mine:
        return experiment
    keep(mine, out)
    try:
        return understood(described(experiment), out)
    except ValidationError as error:
        raise InputError(f"{out}: your code can't be read from there: {first(error)}") from None


def _read(resolved: Path) -> dict[str, Any]:
    try:
        found = YAML(typ="safe", pure=True).load(resolved)
    except YAMLError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("made_with"), dict):
        raise InputError(f"{resolved}: isn't what `moot run` wrote there; choose another --out")
    return found


def replays(out: Path) -> str:
    """Return what the run in `out` is to replay, in words; empty: nothing."""
    return str(_read(out / RESOLVED)["made_with"].get("replay", ""))


def _compare(
    there: Mapping[str, Any], now: Mapping[str, str], experiment: Experiment, out: Path
) -> None:
    """Raise where what is there is another experiment, or was made with other files than `now`."""
    made = there["made_with"]
    old = as_now({key: value for key, value in there.items() if key != "made_with"}, out)
    new = leaves(experiment)
    free = [FREE, TASKS]
    free += [LEARNT] if "file" in made else []  # an earlier moot didn't look into it
    differing = [
        key
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
        and not any(may.fullmatch(key) for may in free)
        and not elsewhere(key, made, now)
        and not (key == "cycles" and _more(new[key], old.get(key)))
    ]
    if differing:
        told = (
            f"{k} ({old.get(k, 'absent')!s} there, {new.get(k, 'absent')!s} here)"
            for k in differing
        )
        code = any(str(new.get(key)).startswith(f"{FOLDER}/") for key in differing)
        again = f", and give `--from {out}` to keep what was said" if code else ""
        raise InputError(
            f"{out}: holds another experiment; choose another --out{again}. Differing: "
            + ", ".join(told)
        )
    if made.get("seeds") != SEEDS:
        raise InputError(
            f"{out}: was begun by an earlier moot, which drew other seeds; choose another --out"
        )
    names = {"tasks": "the task file", "file": "the method's file"}
    for key in now.keys() & made.keys():
        if (key in names or key.startswith("model ")) and made[key] != now[key]:
            raise InputError(
                f"{out}: {names.get(key, key)} changed: its fingerprint was {made[key]} and is "
                f"{now[key]}; choose another --out"
            )


def _more(new: int, old: object) -> bool:
    return isinstance(old, int) and new > old


def _unsaid(out: Path) -> bool:
    """Return whether a run came to its journal there, and to nothing after."""
    journal = out / JOURNAL
    return journal.is_file() and empty(journal) and _turns(out) is None


def _turns(out: Path) -> Path | None:
    """Return the first table of turns that is there."""
    return min(out.glob("*/turns.parquet"), default=None)


def _remembered(out: Path) -> None:
    """Raise where phases are complete of which the journal knows nothing.

    Turns are in the journal before they are anywhere else, so that no kill leaves it so.
    """
    turns = _turns(out)
    if turns is not None and empty(out / JOURNAL):
        raise InputError(
            f"{out / JOURNAL}: is lost or empty, and {turns.relative_to(out)} is there: going on "
            "would begin over what is there; bring it back, or choose another --out"
        )
