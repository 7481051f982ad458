"""reasoning_gym as a source of tasks: endless, seeded, each with its own rule of what is right."""

import dataclasses
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from moot.agents.errors import MootError, in_one_line, near
from moot.agents.task import Task
from moot.agents.types import Settings
from moot.agents.verifier import Verifier
from moot.protocols.verifiers import VERIFIERS, stated

from .harmless import harmless
from .split import Split, content, divide, task

TRIES = 20
"""How many questions may be drawn for each one that is wanted, repeated ones among them."""
ANY = "any that the data set's own rule accepts"
"""Stands as the answer where a data set has a rule but no answer of its own."""
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


class ReasoningGym(Settings):
    """Questions that are made as they are needed."""

    kind: Literal["reasoning_gym"] = "reasoning_gym"
    dataset: str
    """One of reasoning_gym's data sets, e.g. chain_sum."""
    options: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Settings of that data set, e.g. {min_terms: 2, max_terms: 2}."""
    size: int = Field(default=256, ge=2, le=1_000_000)
    """How many different questions are made, including the held-out ones."""
    template: str = Field(default="{prompt}", pattern=r"\{prompt\}")
    """The prompt; {prompt} stands for the question."""
    held_out: int = Field(default=32, ge=1)
    """How many questions are kept for evaluation."""
    per_cycle: int = Field(default=16, ge=1)
    """How many questions a cycle learns from."""

    def load(self, seed: int) -> Split:
        """Return `size` different questions of the seed, divided.

        Raises:
            MootError: there is no such data set, or it can't give so many.
        """
        dataset = self._create(seed)
        entries: dict[str, Mapping[str, Any]] = {}
        drawn = 0
        for entry in self._drawn(dataset):
            drawn += 1
            entries.setdefault(content(entry["question"]), entry)
            if len(entries) == self.size:
                break
        else:
            raise MootError(
                f"{self.dataset} gave only {len(entries)} different questions in {drawn} "
                f"tries; set size: {len(entries)} or less, or widen its options"
            )
        reads = _reads(entries.values())
        tasks = (self._task(dataset, entry, reads) for entry in entries.values())
        split = divide(tasks, self.held_out, self.per_cycle, seed)
        return Split(split.train, split.held_out, drawn - self.size)

    def _task(self, dataset: Any, entry: Mapping[str, Any], reads: Verifier | None) -> Task:
        answer = ANY if entry["answer"] is None else str(entry["answer"])
        return task(entry["question"], answer, Rule(dataset, entry, reads), self.template)

    def _create(self, seed: int) -> Any:
        try:
            with warnings.catch_warnings():  # a library of its own is compiled with some, once
                warnings.simplefilter("ignore", SyntaxWarning)
                from reasoning_gym.factory import DATASETS, create_dataset
        except ImportError:
            raise MootError("reasoning_gym needs pip install 'moot[tasks]'") from None
        if self.dataset not in DATASETS:
            meant = near(self.dataset, DATASETS, show=False)
            raise MootError(f"reasoning_gym has no data set {self.dataset!r}{meant}")
        if ours := sorted({"seed", "size"} & self.options.keys()):
            raise MootError(f"options: {ours[0]} is set by Moot; see tasks.size and seed")
        known = {f.name for f in dataclasses.fields(DATASETS[self.dataset][1])} - {"seed", "size"}
        if unknown := sorted(self.options.keys() - known):
            raise MootError(
                f"options: {self.dataset} has no {unknown[0]!r}{near(unknown[0], known)}"
            )
        try:
            return create_dataset(
                self.dataset, **{**self.options, "seed": seed, "size": self.size * TRIES}
            )
        except Exception as error:  # each data set checks its options in its own way
            raise MootError(f"options: {self.dataset}: {in_one_line(error)}") from None

    def _drawn(self, dataset: Any) -> Iterator[Mapping[str, Any]]:
        try:
            yield from dataset
        except Exception as error:
            raise MootError(f"{self.dataset} can't make a question: {in_one_line(error)}") from None


def _reads(entries: Iterable[Mapping[str, Any]]) -> Verifier | None:
    """Return how the data set's answers are read: as numbers where all of them are numbers."""
    numbers = all(NUMBER.fullmatch(str(entry["answer"])) for entry in entries)
    return VERIFIERS["number"] if numbers else None


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """One question's own verifier: `score_answer` of its data set."""

    quick: ClassVar[bool] = True
    dataset: Any
    entry: Mapping[str, Any]
    reads: Verifier | None
    """Reads numbers; `None`: what is stated is the answer, as it is written."""

    def read(self, text: str) -> str | None:
        """Return the answer that `text` states."""
        return self.reads.read(text) if self.reads else stated(text) or None

    def score(self, answer: str, expected: str) -> float:
        """Return the data set's own score; 1 where it is the data set's own answer."""
        if self.entry["answer"] is not None and answer == self.read(expected):
            return 1.0
        if not harmless(answer):
            return 0.0
        try:
            return min(1.0, max(0.0, float(self.dataset.score_answer(answer, self.entry))))
        except Exception:  # some rules raise on what they can't parse: it isn't right
            return 0.0
