"""Questions and answers that stand in a file, or in the experiment itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from moot.agents.beside import Beside
from moot.agents.errors import MootError
from moot.agents.task import Task
from moot.agents.types import Settings

from .rows import cell, rows
from .split import Split, divide, task
from .verifying import VerifierName, verifier


class File(Settings):
    """Questions and answers of a JSONL, CSV or Parquet file."""

    kind: Literal["file"] = "file"
    path: Beside
    """Ends in .jsonl, .csv or .parquet; relative to the experiment file's folder."""
    verifier: VerifierName
    """How an answer is read and checked."""
    prompt_column: str = "prompt"
    """Which column holds the question."""
    answer_column: str = "answer"
    """Which column holds the right answer. An empty cell, or NaN in Parquet, is an unknown answer.
    The number 3.0 is the answer 3; in CSV, which holds only text, it is 3.0."""
    held_out_path: Beside | None = None
    """A separate file for the held-out questions; none of it is learnt from."""
    template: str = Field(default="{prompt}", pattern=r"\{prompt\}")
    """The prompt; {prompt} stands for the question."""
    held_out: int = Field(default=32, ge=1)
    """How many questions are kept for evaluation."""
    per_cycle: int = Field(default=16, ge=1)
    """How many questions a cycle learns from."""

    def load(self, seed: int) -> Split:
        """Return the file's questions, divided."""
        apart = self.held_out_path and self._tasks(Path(self.held_out_path))
        tasks = self._tasks(Path(self.path))
        return divide(tasks, self.held_out, self.per_cycle, seed, apart or None)

    def _tasks(self, path: Path) -> Iterator[Task]:
        for row in rows(path):
            question = cell(row, self.prompt_column, "prompt_column")
            answer = cell(row, self.answer_column, "answer_column")
            if question is None:
                raise MootError(f"{row[0]}: {self.prompt_column}: is empty")
            yield _checked(question, answer, self.verifier, self.template, row[0])


class Item(Settings):
    """A question with its answer."""

    prompt: str = Field(min_length=1)
    """The question."""
    answer: str | int | float | None
    """Numbers may be written without quotes; `null` is an unknown answer."""


class Inline(Settings):
    """Questions and answers that stand in the experiment file."""

    kind: Literal["inline"] = "inline"
    items: tuple[Item, ...] = Field(min_length=2)
    """The questions, each with its right answer."""
    verifier: VerifierName
    """How an answer is read and checked."""
    template: str = Field(default="{prompt}", pattern=r"\{prompt\}")
    """The prompt; {prompt} stands for the question."""
    held_out: int = Field(default=32, ge=1)
    """How many questions are kept for evaluation."""
    per_cycle: int = Field(default=16, ge=1)
    """How many questions a cycle learns from."""

    def load(self, seed: int) -> Split:
        """Return the questions, divided."""
        tasks = (
            _checked(
                item.prompt,
                None if item.answer is None else str(item.answer),
                self.verifier,
                self.template,
                f"items.{i}",
            )
            for i, item in enumerate(self.items)
        )
        return divide(tasks, self.held_out, self.per_cycle, seed)


def _checked(
    question: str, answer: str | None, checks: VerifierName, template: str, where: str
) -> Task:
    """Return the task, if the verifier can read its answer: else no one could ever be right."""
    made = task(question, answer, verifier(checks), template)
    if answer is not None and made.known is None:
        raise MootError(f"{where}: the answer {answer[:40]!r} can't be read by verifier {checks}")
    return made
