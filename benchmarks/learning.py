"""Does the loop learn?  What is learnt beside where it began, and at the same compute.

    sums, differences  CaT, without labels, beside the untrained model's vote at the run's compute
    verdicts           LaSeR, from labels: how well it tells which of its held-out answers are right
                       (chance is one half), and the vote of eight answers that these verdicts
                       weigh, beside their plain vote; reading a verdict costs as many tokens as
                       its answer did

Runs shipped experiments once for each seed, each in a process of its own, and reads what they
measured.  Seeds change everything: the split into train and held-out, the adapter, the sampling.
Differences are paired by seed; their intervals are Student's t over seeds, at 95 %.

    python benchmarks/learning.py [--case NAME ...] [--seeds 5] [--quick] [--json FILE]
                                  [--runs DIR] [--jobs 1]
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import exp, log
from pathlib import Path
from statistics import fmean

import pyarrow.parquet as pq
from rows import Row, table, write

from moot.experiments.analysis.stats import over_seeds

CONFIGS = Path(__file__).parents[1] / "experiments" / "configs"
CASES = {"sums": "quickstart.yaml", "differences": "differences.yaml", "verdicts": "laser.yaml"}
PEERS = {"start": "the model before any training", "vote": "its vote at the run's compute"}
VOTES = 10_000
"""The bound of the baseline's votes: more than any of these runs can afford."""

Measured = dict[tuple[str, int], float]
"""What a run measured for whole cycles, by name and cycle."""


def main() -> None:
    """Run the seeds, print the table, write the lines."""
    parser = options(__doc__, "learning")
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    args = parser.parse_args()
    seeds = range(2 if args.quick else args.seeds)
    folder = args.runs / ("quick" if args.quick else "whole")

    def played(case: str, seed: int) -> Measured:
        out = folder / f"{Path(CASES[case]).stem}-{seed}"
        quick = ["cycles=1"] if args.quick else []
        play(CONFIGS / CASES[case], seed, out, [f"evaluation.baseline_votes={VOTES}", *quick])
        print(f"{case}, seed {seed}: done", flush=True)
        return measured(out)

    rows: list[Row] = []
    with at_a_time(args.jobs) as pool:
        due = {case: [pool.submit(played, case, seed) for seed in seeds] for case in args.case}
        for case, runs in due.items():
            rows += compared(case, [run.result() for run in runs])
    show(rows)
    print("\n" + "\n".join(f"{peer}: {about}" for peer, about in PEERS.items()))
    write(rows, args.json)


def options(about: str | None, name: str) -> argparse.ArgumentParser:
    """Return what every benchmark is told whose runs are of several seeds."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=about, formatter_class=form)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two seeds and one cycle")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs", name))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, the cores shared out")
    return parser


@contextmanager
def at_a_time(jobs: int) -> Generator[ThreadPoolExecutor]:
    """Have so many runs at a time, the cores shared out; where one fails no other is begun."""
    if jobs > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def play(config: Path, seed: int, out: Path, sets: list[str]) -> None:
    """Run one experiment, otherwise by `sets`, to its end; one that has ended is not run again."""
    command = [sys.executable, "-m", "moot.experiments.main", "run", str(config), "--out", str(out)]
    done = subprocess.run(
        [*command, *(word for s in [f"seed={seed}", *sets] for word in ("--set", s))],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{config} with seed {seed} failed:\n{done.stderr[-2000:]}")


def measured(out: Path) -> Measured:
    """Return what a run measured for whole cycles."""
    rows = pq.read_table(out / "metrics.parquet").to_pylist()
    return {(row["name"], row["cycle"]): row["value"] for row in rows if row["step"] is None}


def compared(case: str, runs: list[Measured]) -> list[Row]:
    """Return our last held-out accuracy, of answers and of their vote, beside each peer's."""
    last = max(cycle for name, cycle in runs[0] if name == "held_out/accuracy")
    rows: list[Row] = []
    for metric in ("held_out/accuracy", "held_out/majority"):
        ours = [run[metric, last] for run in runs]
        theirs = {"start": [run[metric, 0] for run in runs]}
        if all(("baseline/majority", last) in run for run in runs):
            theirs["vote"] = [run["baseline/majority", last] for run in runs]
            for run in runs:
                assert run["baseline/votes", last] == run["baseline/votes_affordable", last]
        rows += [
            row("learning", case, metric, ours, peer, values) for peer, values in theirs.items()
        ]
    return rows + verification("learning", case, runs, last)


def verification(benchmark: str, case: str, runs: list[Measured], last: int) -> list[Row]:
    """Return what verdicts that were learnt are worth; nothing where none were."""
    rows: list[Row] = []
    for name, peer in (
        ("verification_f1", "chance"),
        ("verification_auc", "chance"),
        ("weighted_majority", "majority"),
    ):
        # A seed whose answers are nearly all right, or all wrong, has too little to tell apart.
        told = [run for run in runs if (f"held_out/{name}", last) in run]
        ours = [run[f"held_out/{name}", last] for run in told]
        theirs = [run.get((f"held_out/{peer}", last), 0.5) for run in told]
        if len(told) > 1:
            rows.append(row(benchmark, case, name, ours, peer, theirs))
    return rows


def row(
    benchmark: str, case: str, metric: str, ours: list[float], peer: str, theirs: list[float]
) -> Row:
    """Return one comparison; its ratio is the geometric mean of the seeds' where none is 0."""
    difference, low, high = interval([a - b for a, b in zip(ours, theirs, strict=True)])
    ratio = fmean(ours) / fmean(theirs) if any(theirs) else None
    least, most = None, None
    if all(theirs) and all(ours):
        # Ratios are skewed, their logarithms less so: of these the interval is never below 0.
        logs = interval([log(a / b) for a, b in zip(ours, theirs, strict=True)])
        ratio, least, most = (None if x is None else exp(x) for x in logs)
    return Row(
        benchmark=benchmark,
        case=case,
        metric=metric,
        unit="share",
        ours=fmean(ours),
        peer=peer,
        peer_value=fmean(theirs),
        ratio=ratio,
        n=len(ours),
        low=least,
        high=most,
        difference=difference,
        difference_low=low,
        difference_high=high,
    )


def interval(values: list[float]) -> tuple[float, float | None, float | None]:
    """Return the mean of `values` and its 95 % interval by Student's t; one value has none."""
    mean, low, high = over_seeds(values)
    return (mean, low, high) if len(values) > 1 else (mean, None, None)


def show(rows: list[Row]) -> None:
    """Print the rows as a table."""
    lines: list[list[str]] = []
    for row in rows:
        reach = ""
        if row.difference_low is not None and row.difference_high is not None:
            reach = f" [{row.difference_low:+.3f}, {row.difference_high:+.3f}]"
        values = (f"{row.ours:.3f}", row.peer, f"{row.peer_value:.3f}")
        lines.append([row.case, row.metric, *values, f"{row.difference:+.3f}{reach}"])
    print("\n" + table(["case", "metric", "ours", "peer", "value", "difference"], lines))


if __name__ == "__main__":
    main()
