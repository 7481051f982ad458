"""What a run spends, for Prometheus: counters at http://127.0.0.1:PORT/metrics while it lasts.

The ledger is read when it is scraped; a call costs nothing more for it.
"""

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from moot.agents.errors import InputError, MootError
from moot.protocols.ledger import Ledger

if TYPE_CHECKING:
    from prometheus_client.metrics_core import CounterMetricFamily

HOST = "127.0.0.1"
LABELS = ("phase", "protocol", "agent", "role", "engine")
COUNTERS = {
    "calls": "Completions.",
    "tokens_in": "Prompt tokens, the cached among them.",
    "tokens_cached": "Prompt tokens that the engine had read before.",
    "tokens_out": "Completion tokens.",
    "seconds": "Seconds waited for completions, each counted in full.",
    "retries": "Tries of what was answered in the end, the last apart.",
    "cost": "What it cost, at the engines' prices.",
}


@contextmanager
def serving(port: int, ledger: Ledger, say: Callable[[str], None]) -> Generator[int]:
    """Serve what `ledger` holds, and yield the port.

    Args:
        port: where; 0 takes a free one.
        ledger: read at every scrape.
        say: is told the address.

    Raises:
        MootError: the port is taken, or prometheus_client isn't installed.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ImportError:
        raise MootError(
            "--metrics needs prometheus_client: `pip install 'moot[metrics]'`, or leave it out"
        ) from None

    registry = CollectorRegistry()
    registry.register(Counters(ledger))
    try:
        server, thread = start_http_server(port, HOST, registry)
    except OSError as error:
        raise InputError(
            f"--metrics {port}: {error.strerror}; choose another port, or 0 for a free one"
        ) from None
    try:
        say(f"metrics: http://{HOST}:{server.server_port}/metrics")
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Counters:
    """The ledger's accounts as Prometheus's counters, a collector of their registry."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> "Iterable[CounterMetricFamily]":
        """Yield a counter for each thing that is counted, by phase, protocol, agent and engine."""
        from prometheus_client.metrics_core import CounterMetricFamily

        usage = self._ledger.usage()
        for name, what in COUNTERS.items():
            counter = CounterMetricFamily(f"moot_{name}", what, labels=LABELS)
            for one in usage:
                count: float | None = getattr(one.spent, name)
                if count is not None:
                    counter.add_metric([getattr(one, label) for label in LABELS], count)
            yield counter
