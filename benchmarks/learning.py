"""Does the loop learn?  CaT against its starting point and against a vote at the same compute.

Runs shipped experiments once for each seed, each in a process of its own, and reads what they
measured.  Seeds change everything: the split into train and held-out, the adapter, the sampling.
Intervals are percentile bootstraps over seeds of the paired difference.

    python benchmarks/learning.py [--seeds 5] [--quick] [--json FILE] [--runs DIR]
"""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from moot.experiments.stats import mean_interval

CONFIGS = Path(__file__).parents[1] / "experiments" / "configs"
CASES = {"one-digit sums": "quickstart.yaml", "two-digit sums": "two-digit-sums.yaml"}
PEERS = {
    "start": ("held_out/accuracy", "the model before any training"),
    "majority-matched": ("baseline/majority", "its majority vote at the run's compute"),
}


@dataclass(frozen=True)
class Row:
    """One line of the result, in the fields every benchmark shares."""

    benchmark: str
    case: str
    metric: str
    unit: str
    ours: float
    peer: str
    peer_value: float
    ratio: float
    n: int
    low: float
    high: float


def main() -> None:
    """Run the seeds, print the table, write the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two seeds and one cycle")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/learning"))
    args = parser.parse_args()
    seeds = range(2 if args.quick else args.seeds)
    rows: list[Row] = []
    for case, config in CASES.items():
        outs = [args.runs / f"{Path(config).stem}-{seed}" for seed in seeds]
        for seed, out in zip(seeds, outs, strict=True):
            start = time.monotonic()
            play(CONFIGS / config, seed, out, args.quick)
            print(f"{case}, seed {seed}: {time.monotonic() - start:.0f} s", flush=True)
        rows += compared(case, [measured(out) for out in outs])
    show(rows)
    if args.json:
        args.json.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))


def play(config: Path, seed: int, out: Path, quick: bool) -> None:
    """Run one experiment to its end; one that is there already is not run again."""
    sets = [f"seed={seed}", *(["cycles=1"] if quick else [])]
    command = [sys.executable, "-m", "moot.experiments.main", "run", str(config), "--out", str(out)]
    done = subprocess.run(
        [*command, *(word for s in sets for word in ("--set", s))],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{config} with seed {seed} failed:\n{done.stderr[-2000:]}")


def measured(out: Path) -> dict[tuple[str, int], float]:
    """Return what a run measured for whole cycles, by name and cycle."""
    rows = pq.read_table(out / "metrics.parquet").to_pylist()
    return {(row["name"], row["cycle"]): row["value"] for row in rows if row["step"] is None}


def compared(case: str, runs: list[dict[tuple[str, int], float]]) -> list[Row]:
    """Return our last held-out accuracy, single answers and vote, beside each peer's."""
    last = max(cycle for name, cycle in runs[0] if name == "held_out/accuracy")
    rows: list[Row] = []
    for metric in ("held_out/accuracy", "held_out/majority"):
        ours = np.array([run[metric, last] for run in runs])
        for peer, (name, _) in PEERS.items():
            at = last if name.startswith("baseline") else 0
            source = metric if peer == "start" else name
            theirs = np.array([run[source, at] for run in runs])
            gap = mean_interval((ours - theirs).tolist(), seed=0)
            assert gap is not None
            mean, other = float(ours.mean()), float(theirs.mean())
            rows.append(
                Row(
                    "learning",
                    case,
                    metric,
                    "difference of shares",
                    mean,
                    peer,
                    other,
                    mean / other if other else float("inf"),
                    len(runs),
                    gap.low,
                    gap.high,
                )
            )
    return rows


def show(rows: list[Row]) -> None:
    """Print the rows as a table."""
    print(f"\n{'case':16} {'metric':18} {'CaT':>6} {'peer':18} {'value':>6} {'difference':>22}")
    for row in rows:
        gap = f"{row.ours - row.peer_value:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
        print(
            f"{row.case:16} {row.metric:18} {row.ours:6.3f} {row.peer:18} "
            f"{row.peer_value:6.3f} {gap:>22}"
        )


if __name__ == "__main__":
    main()
