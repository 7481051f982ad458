"""What a person sees while a run goes on: a live line on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from moot.protocols.ledger import Ledger, Spent
from moot.protocols.types import Turn


@dataclass(slots=True)
class Show:
    """Prints phases as they end and, on a terminal, a bar for the one under way."""

    ledger: Ledger = field(default_factory=Ledger)
    """What is spent in the phase under way, for the bar and the line at its end."""
    console: Console = field(default_factory=lambda: Console(file=sys.stdout, highlight=False))
    _live: Progress | None = None

    def line(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def phase(self, name: str, total: int | None = None) -> Generator[None]:
        """Show `name` as under way, then print how long it took and what it spent."""
        start = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            Spending(self.ledger),
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
        took = (f"{time.monotonic() - start:.1f} s", *parts(self.ledger.spent()))
        self.line(f"{name}: {', '.join(took)}")

    def turn(self, phase: str, protocol: str, turn: Turn) -> None:
        """Account for a turn, and count it."""
        self.ledger.turn(phase, protocol, turn)
        self.advance()

    def advance(self) -> None:
        """Move the bar on by one."""
        if self._live is not None and not self._live.disable:
            self._live.advance(self._live.tasks[0].id)

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Print one optimiser step."""
        self.advance()
        shown = ("loss", "reward", "entropy", "grad_norm")
        seen = "  ".join(f"{name} {metrics[name]:.4g}" for name in shown if name in metrics)
        self.line(f"  step {step}: {seen}")


class Spending(ProgressColumn):
    """What is spent so far; the ledger is read when the line is drawn."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def render(self, task: Task) -> Text:
        """Return tokens a second, and the cost where there is a price."""
        spent, elapsed = self._ledger.spent(), task.elapsed or 0.0
        if not (spent.calls and elapsed):
            return Text()
        rate = f"{spent.tokens_out / elapsed:,.0f} tokens/s out"
        cost = "" if spent.cost is None else f", {money(spent.cost)} cost"
        return Text(rate + cost)


def parts(spent: Spent) -> Iterator[str]:
    """Yield what was spent, as far as there is anything to say."""
    if not spent.calls:
        return
    yield f"{spent.calls:,} {'call' if spent.calls == 1 else 'calls'}"
    read = spent.tokens_in and spent.tokens_cached / spent.tokens_in
    yield f"{spent.tokens_in:,} tokens in" + (f" ({read:.0%} cached)" if read else "")
    yield f"{spent.tokens_out:,} out"
    if spent.retries:
        yield f"{spent.retries:,} {'retry' if spent.retries == 1 else 'retries'}"
    if spent.cost is not None:
        yield f"{money(spent.cost)} cost"


def money(cost: float) -> str:
    """Return a cost for reading, to the hundredth or, where it is small, to two digits."""
    return f"{cost:,.2f}" if cost >= 0.1 or not cost else f"{cost:.2g}"
