"""Tasks to learn from and tasks to measure with: disjoint by content, and proven so."""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from moot.agents.errors import MootError
from moot.agents.task import Task
from moot.agents.verifier import Knowing, Verifier


def content(text: str) -> str:
    """Return what makes a question the same question: not its case, spacing or Unicode form."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def identity(question: str) -> str:
    """Return the id of a question's task: all that are the same question have the same."""
    return sha256(content(question).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def task(question: str, answer: str | None, verifier: Verifier, template: str) -> Task:
    """Return the task of a question, put into `template`; its id depends on the question alone."""
    # Only {prompt} is a field: other braces, in the template or the question, are text.
    return Task(identity(question), template.replace("{prompt}", question), answer, verifier)


@dataclass(frozen=True, slots=True)
class Split:
    """Tasks to learn from and tasks kept for evaluation; no content is on both sides."""

    train: tuple[Task, ...]
    held_out: tuple[Task, ...]
    dropped: int = 0
    """Questions left out because the same question is there already, or is held out."""

    def __post_init__(self) -> None:
        learnt = {content(task.prompt) for task in self.train}
        if shared := [task for task in self.held_out if content(task.prompt) in learnt]:
            raise MootError(f"{shared[0].prompt!r} is both learnt from and held out")
        ids = [task.id for task in (*self.train, *self.held_out)]
        if len(set(ids)) < len(ids):
            raise MootError("two tasks have the same id")

    @property
    def reserved(self) -> frozenset[str]:
        """The identities of what is held out: the questions, bare and as they are asked."""
        asked = (identity(task.prompt) for task in self.held_out)
        return frozenset(asked) | {task.id for task in self.held_out}

    @property
    def measurable(self) -> bool:
        """Whether the answer to any held-out task is known, so that answers can be right."""
        return any(task.answer is not None for task in self.held_out)


def divide(
    tasks: Iterable[Task],
    held_out: int,
    per_cycle: int,
    seed: int,
    apart: Iterable[Task] | None = None,
) -> Split:
    """Return a split of `tasks`, each question once.

    Who is held out depends on each question and the seed, not on the others or their order:
    another row in a file moves at most one task from one side to the other.

    Args:
        apart: where the held-out tasks are taken from, in place of `tasks`.

    Raises:
        MootError: they are too few, or a question has two answers.
    """
    here, there = list(tasks), list(apart or ())
    train = _unique(here)
    pool = train if apart is None else _unique(there)
    kept = sorted(pool.values(), key=lambda task: _place(task, f"{seed}/split"))[:held_out]
    # All of a pool apart is out of bounds, not only the part of it that is used.
    barred = {task.id for task in kept} if apart is None else pool.keys()
    rest = tuple(task for task in train.values() if task.id not in barred)
    used = len(rest) + (len(kept) if apart is None else len(pool))
    split = Split(rest, tuple(kept), dropped=len(here) + len(there) - used)
    return _enough(split, held_out, per_cycle)


def _unique(tasks: Iterable[Task]) -> dict[str, Task]:
    """Return each question once, by id; which of two answers is right nobody but the user knows."""
    found: dict[str, Task] = {}
    for task in tasks:
        first = found.setdefault(task.id, task)
        if not _agree(first, task):
            same = "" if first.prompt == task.prompt else f", as {first.prompt[:200]!r},"
            raise MootError(
                f"the question {task.prompt[:200]!r} is there{same} with the answer "
                f"{first.answer!r} and with {task.answer!r}: leave one of them out"
            )
    return found


def _agree(one: Task, other: Task) -> bool:
    """Return whether the known answers to one question, if both are known, come to the same."""
    if one.answer is None or other.answer is None or one.answer == other.answer:
        return True
    if isinstance(one.verifier, Knowing):  # what is known is no answer, and can't be right
        return one.known == other.known
    return bool(one.correct(other.known))


def _enough(split: Split, held_out: int, per_cycle: int) -> Split:
    train, kept = len(split.train), len(split.held_out)
    if kept == held_out and train >= per_cycle:
        return split
    left_out = f" ({split.dropped} left out as repeated)" if split.dropped else ""
    raise MootError(
        f"{train + kept} different questions{left_out} are too few for held_out: {held_out} "
        f"and per_cycle: {per_cycle}; {kept} can be held out, which leaves {train}"
    )


def for_cycle(train: Sequence[Task], per_cycle: int, cycle: int, seed: int) -> tuple[Task, ...]:
    """Return the tasks of one cycle, by walking through `train` in seeded orders.

    Each order serves as many whole cycles as it can, without repetition; the few that it leaves
    over come early or late in the next one, as chance has it.
    """
    epoch, place = divmod(cycle, max(1, len(train) // per_cycle))
    order = sorted(train, key=lambda task: _place(task, f"{seed}/epoch-{epoch}"))
    return tuple(order[place * per_cycle : (place + 1) * per_cycle])


def _place(task: Task, salt: str) -> bytes:
    return sha256(f"{salt}/{task.id}".encode()).digest()
