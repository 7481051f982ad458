"""What does a call cost beside the model?  A debate's calls, by Moot and by its peers.

    calls     debates of 3 agents over 2 rounds, then a vote, 256 calls in flight, against a server
              in another process that answers each with the same bytes (300 prompt tokens, 64 said,
              with log-probabilities and ids) after 20 ms
    episodes  a hundred thousand such debates beside a thousand, with an engine that answers at
              once: ours alone, for what an episode costs mustn't grow with their number, nor memory
    debate    the real vLLM with SmolLM2-135M on this machine: debates of 3 agents over 2 rounds,
              beside vLLM's own offline batch (LLM.chat) that is given the same prompts all at
              once, without what they depend on, and set as the server is
    adapters  the same server: 64 agents on 32 adapters of rank 8, beside 64 agents on one, whose
              prompts the server reads once for all of them
    knee      the same server, 32 requests at once, that mostly read (prompts of a hundred words,
              4 tokens to say) or mostly say (48 tokens to prompts that are alike): beside the same
              where nobody looks at its metrics
    samples   the same server: 16 agents who are alike, asked in one request a question, beside
              as many who are asked in one request each

The sides: `ours` is Moot as a run does it, with its gate, its journal on disk, progress and the
Parquet files of the talk; `aiohttp` is a bare loop that sends and parses with orjson and keeps
nothing; `openai` the official client with gather; `autogen` AutoGen 0.7.5's assistants; `inspect`
Inspect 0.3.285 with its log.  All ask for log-probabilities and get the same answer.

`cpu_ms_per_call` is the CPU time of the asking process, the server's apart, over the calls; a first
tenth of the debates warms it up and isn't counted.  `calls_per_s` is wall time, where both
processes share the cores; `p50_ms` and `p99_ms` are of one call, the server's 20 ms among them:
with 256 in flight they are mostly the wait for one's turn.  Sides take turns, their order reversed
every other time; the table has medians over repetitions, `ratio` is the median of the ratios paired
by repetition (above 1: ours needs less, or does more), `low` and `high` the least and the greatest.

`server_ms_per_call` is the CPU time of the process that speaks HTTP at the server, over the
samples; the model has another.  `cache_share` is how many prompt tokens the server found in its
cache, of all that an earlier call had read or said at the same beginning; `mb_an_adapter` is how
much its memory grew by each.

    python benchmarks/serving.py [--case NAME ...] [--quick] [--json FILE] [--peers-python PATH]
"""

import argparse
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rows import Row, paired, show, write
from turns import Measured, fresh, take_turns

from moot.agents.serving.command import environment, is_cpu_build
from moot.agents.serving.vllm import VLLM

HERE = Path(__file__).parent
SIDES = str(HERE / "serving_sides.py")
CASES = ("calls", "episodes", "debate", "adapters", "samples", "knee")
REAL = {"debate": 24, "adapters": 2, "samples": 16, "reads": 1400, "says": 600}
"""Tasks of the cases that are measured against the real vLLM."""
PYTHON = Path(".venv-peers/bin/python")
PEERS = ("aiohttp", "openai", "autogen", "inspect")
EPISODES = {"ours": 1000, "aiohttp": 1000, "openai": 300, "autogen": 100, "inspect": 100}
"""A slow side plays fewer debates: it is looked at for about as long."""
UNITS = {"cpu_ms_per_call": "ms", "calls_per_s": "calls/s", "p50_ms": "ms", "p99_ms": "ms"}


def main() -> None:
    """Measure, print the table, write the lines."""
    about = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=about)
    parser.add_argument("--case", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--quick", action="store_true", help="a tenth, twice")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--peers-python", type=Path, default=PYTHON, help="of the peers' environment"
    )
    options = parser.parse_args()
    pythons = {"ours": sys.executable, "aiohttp": sys.executable}
    if options.peers_python.exists():
        pythons |= dict.fromkeys(PEERS[1:], str(options.peers_python))
    else:
        print(f"{', '.join(PEERS[1:])}: left out, no {options.peers_python}")
    quick, rows = options.quick, list[Row]()
    cases: dict[str, Callable[[], list[Row]]] = {
        "calls": lambda: calls(pythons, quick),
        "episodes": lambda: growth(quick),
        "debate": lambda: real("debate", ("debate", "offline"), "vllm-offline", quick),
        "adapters": lambda: real("adapters", ("many", "one"), "one-adapter", quick),
        "samples": lambda: real("samples", ("together", "apart"), "apart", quick),
        "knee": lambda: knee(quick),
    }
    for case in options.case:
        rows += cases[case]()
        write(rows, options.json)
    show(rows)


def calls(pythons: Mapping[str, str], quick: bool) -> list[Row]:
    """Return what a call costs every side that there is a Python for."""
    with server() as url:
        return compared(measured(pythons, url, quick))


def real(case: str, sides: tuple[str, str], peer: str, quick: bool) -> list[Row]:
    """Return how two sides fare with the real vLLM: the first is ours."""
    n = max(1, REAL[case] // (4 if quick else 1))
    ours, its = by_vllm("serving_vllm.py", case, sides, n, 2 if quick else 5)
    rows = [_both(case, "tokens_per_s", "tokens/s", peer, ours, its, more=True)]
    if case == "samples":
        for metric in ("cpu_ms_per_call", "server_ms_per_call"):
            rows.append(_both(case, metric, "ms", peer, ours, its, more=False))
        return rows
    if case == "debate":
        shares = [(one["cache_share"], 1.0) for one in ours]
        return [*rows, _row(case, "cache_share", "share", "shared", shares, more=True)]
    added = [(one["mb_an_adapter"], 1.0) for one in ours]
    return [*rows, _row(case, "mb_an_adapter", "MB", "1 MB", added, more=False)]


def knee(quick: bool) -> list[Row]:
    """Return what it gives to look at the server's metrics, for each load."""
    rows: list[Row] = []
    for load in ("reads", "says"):
        sides = load, f"{load}-unheeded"
        n = REAL[load] // (4 if quick else 1)
        ours, its = by_vllm("serving_knee.py", "knee", sides, n, 2 if quick else 3)
        for metric, unit, more in (("tokens_per_s", "tokens/s", True), ("latency_s", "s", False)):
            rows.append(_both(f"knee, {load}", metric, unit, "unheeded", ours, its, more=more))
    return rows


def by_vllm(
    script: str, case: str, sides: tuple[str, str], n: int, repetitions: int
) -> list[list[Measured]]:
    """Return what each side said of the real vLLM, which it starts for itself."""
    with tempfile.TemporaryDirectory() as folder:
        found = take_turns(
            case,
            sides,
            fresh(
                lambda side: [sys.executable, str(HERE / script), side, folder, str(n)],
                environment(VLLM(model="none"), is_cpu_build()),
            ),
            repetitions=repetitions,
            own=set(sides),
            brief=_brief,
        )
    return [found[side] for side in sides]


@contextmanager
def server() -> Generator[str]:
    """Serve while this lasts; yield where."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, str(HERE / "serving_server.py"), str(port)]) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(100):
                try:
                    urllib.request.urlopen(f"{url}/v1/models").close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield url
        finally:
            process.terminate()


def measured(pythons: Mapping[str, str], url: str, quick: bool) -> dict[str, list[Measured]]:
    """Return what each side's fresh processes said; a peer that failed is named and left out."""

    def command(side: str) -> list[str]:
        episodes = EPISODES[side] // (10 if quick else 1)
        return [pythons[side], SIDES, side, url, str(episodes)]

    return take_turns(
        "calls",
        pythons,
        fresh(command, {"INSPECT_DISPLAY": "none"}),
        repetitions=2 if quick else 5,
        own={"ours"},
        brief=_brief,
    )


def growth(quick: bool) -> list[Row]:
    """Return what many episodes cost, each, and their memory, beside a few."""
    few, many = ("100", "2000") if quick else ("1000", "100000")
    found = take_turns(
        "episodes",
        (few, many),
        fresh(lambda n: [sys.executable, SIDES, "many", "", n], {}),
        repetitions=2 if quick else 3,
        own={few, many},
        brief=_brief,
    )
    rows: list[Row] = []
    for metric, unit in (("cpu_ms_per_episode", "ms"), ("memory_mb", "MB")):
        peer, ours, its = f"{few} episodes", found[many], found[few]
        rows.append(_both("episodes", metric, unit, peer, ours, its, more=False))
    return rows


def _brief(one: Measured) -> str:
    return ", ".join(f"{name} {x:.3g}" for name, x in one.items())


def compared(found: dict[str, list[Measured]]) -> list[Row]:
    """Return each metric of ours beside each peer's."""
    ours = found.pop("ours")
    rows: list[Row] = []
    for peer, theirs in found.items():
        for metric, unit in UNITS.items():
            more = metric == "calls_per_s"
            rows.append(_both("calls", metric, unit, peer, ours, theirs, more=more))
    return rows


def _both(
    case: str,
    metric: str,
    unit: str,
    peer: str,
    ours: Sequence[Measured],
    its: Sequence[Measured],
    *,
    more: bool,
) -> Row:
    """Return one comparison of what ours measured with what the peer did, by repetition."""
    pairs = [(a[metric], b[metric]) for a, b in zip(ours, its, strict=True)]
    return _row(case, metric, unit, peer, pairs, more=more)


def _row(
    case: str, metric: str, unit: str, peer: str, pairs: list[tuple[float, float]], *, more: bool
) -> Row:
    """Return one comparison of ours with a peer's; `more`: whether more is better."""
    ratios = [one / its if more else its / one for one, its in pairs]
    ours, theirs = zip(*pairs, strict=True)
    return paired("serving", case, metric, unit, ours, peer, theirs, ratios)


if __name__ == "__main__":
    main()
