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

ANSWER = "`answer_column` names it, or is null where no answers are known"


class File(Settings):
    """Questions and answers of a JSONL, CSV or Parquet file."""

    kind: Literal["file"] = "file"
    path: Beside
    """Ends in .jsonl, .csv or .parquet; relative to the experiment file's folder."""
    verifier: VerifierName | None = None
    """How an answer is read and checked; may be left out where no answers are known, and is `exact`
    then."""
    prompt_column: str = "prompt"
    """Which column holds the question."""
    answer_column: str | None = "answer"
    """Which column holds the right answer; `null`: none does, and no answers are known. An empty
    cell, or NaN in Parquet, is an unknown answer. The number 3.0 is the answer 3; in CSV, which
    holds only text, it is 3.0."""
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
            question = cell(row, self.prompt_column, "`prompt_column` names it")
            column = self.answer_column
            answer = None if column is None else cell(row, column, ANSWER)
            if question is None:
                raise MootError(f"{row[0]}: {self.prompt_column}: is empty")
            yield _checked(question, answer, self.verifier, self.template, row[0])


class Item(Settings):
    """A question, with its answer where one is known."""

    prompt: str = Field(min_length=1)
    """The question."""
    answer: str | int | float | None = None
    """Numbers may be written without quotes; left out, or `null`, it isn't known."""


class Inline(Settings):
    """Questions and answers that stand in the experiment file."""

    kind: Literal["inline"] = "inline"
    items: tuple[Item, ...] = Field(min_length=2)
    """The questions, each with its right answer where one is known."""
    verifier: VerifierName | None = None
    """How an answer is read and checked; may be left out where no answers are known, and is `exact`
    then."""
    template: str = Field(default="{prompt}", pattern=r"\{prompt\}")
    """The prompt; {prompt} stands for the question."""
    held_out: int = Field(default=32, ge=1)
    """How many questions are kept for evaluation."""
    per_cycle: int = Field(default=16, ge=1)
    """How many questions a cycle learns from."""

    def load(self, seed: int) -> Split:
        """Return the questions, divided."""
        said = ["answer" in item.model_fields_set for item in self.items]
        if any(said) and not all(said):
            where = f"items.{said.index(False)}"
            raise MootError(
                f"{where}: has no answer, and others have; write `answer: null` if it isn't known"
            )
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
    question: str, answer: str | None, checks: VerifierName | None, template: str, where: str
) -> Task:
    """Return the task, if the verifier can read its answer: else no one could ever be right."""
    if checks is None and answer is not None:
        raise MootError(f"{where}: has an answer; name the `verifier` that reads and checks it")
    made = task(question, answer, verifier(checks or "exact"), template)
    if answer is not None and made.known is None:
        raise MootError(f"{where}: the answer {answer[:40]!r} can't be read by verifier {checks}")
    return made
