"""What a person sees while a run goes on: a live line on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from moot.protocols.types import Turn


@dataclass(slots=True)
class Show:
    """Prints phases as they end and, on a terminal, a bar for the one under way."""

    console: Console = field(default_factory=lambda: Console(file=sys.stdout, highlight=False))
    _live: Progress | None = None

    def line(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def phase(self, name: str, total: int | None = None) -> Generator[None]:
        """Show `name` as under way, then print how long it took."""
        start = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(
            *columns,
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        ) as self._live:
            self._live.add_task(name, total=total)
            yield
        self._live = None
        self.line(f"{name}: {time.monotonic() - start:.1f} s")

    def turn(self, turn: Turn) -> None:
        """Count a turn."""
        self.advance()

    def advance(self) -> None:
        """Move the bar on by one."""
        if self._live is not None and self._live.tasks:
            self._live.advance(self._live.tasks[0].id)

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Print one optimiser step."""
        self.advance()
        shown = ("loss", "reward", "entropy", "grad_norm")
        seen = "  ".join(f"{name} {metrics[name]:.4g}" for name in shown if name in metrics)
        self.line(f"  step {step}: {seen}")
