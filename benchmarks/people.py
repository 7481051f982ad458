"""Does a policy learn what people at the page prefer, where no answers are known?

Four agents of a small model answer open questions, and whoever sits at the page says which of two
answers is better; DPO learns from it.  Here a program sits there, over HTTP like a browser, with a
taste: for the shorter answer.  It judges the held-out answers too, as an examiner who judges
nothing else.  In the control the preferences that are learnt from are drawn by lot, and all else is
the same: as many questions, pairs and steps.  Win rates are those after the last cycle; intervals
are Student's t over seeds, at 95 %, and the difference is paired by seed.

    python benchmarks/people.py [--seeds 5] [--quick] [--json FILE] [--runs DIR] [--jobs 1]
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pyarrow.parquet as pq
from learning import at_a_time, measured, options, row, show
from rows import write

TASTES = ("shorter", "lot")
THINGS = re.findall(
    r"\w+",
    "river, bridge, violin, market, winter, garden, letter, clock, ship, map, lamp, forest, song, "
    "mirror, train, kitchen, storm, school, harbour, key, painting, desert, game, festival, "
    "library, shadow, mountain, island, wheel, door, stone, spoon",
)
EXPERIMENT = """\
name: people
cycles: {cycles}
engines:
  main: {{kind: local, model: smollm2-135m-instruct}}
  page: {{kind: human}}
population:
  - {{name: solver, count: 4, engine: main, learns: true, sampling: {{max_tokens: 48}}}}
  - {{name: reader, role: judge, engine: page, persona: reader}}
  - {{name: examiner, role: judge, engine: page, persona: examiner}}
tasks:
  kind: inline
  held_out: 12
  per_cycle: 20
  items: {items}
trust: equal
protocol: {{kind: judged, judging: {{kind: pairwise, pairs: 3, both_orders: false}}}}
method: {{kind: dpo}}
fit: {{lr: 3.0e-4}}
evaluation: {{samples: 2, judging: {{kind: pairwise, both_orders: false}}, judges: [examiner]}}
"""
PAGE = re.compile(r"people answer at (http://\S+)/#(\S+)")
REPLIES = re.compile(r"<reply number=\"\d\">\n(.*?)\n</reply>", re.DOTALL)


def main() -> None:
    """Run the seeds with each taste, print the table, write the lines."""
    args = options(__doc__, "people").parse_args()
    seeds, cycles = range(2 if args.quick else args.seeds), 1 if args.quick else 3
    folder = args.runs / ("quick" if args.quick else "whole")
    folder.mkdir(parents=True, exist_ok=True)

    def played(taste: str, seed: int) -> tuple[float, float]:
        out = folder / f"{taste}-{seed}"
        play(taste, seed, cycles, out)
        print(f"{taste}, seed {seed}: done", flush=True)
        return measured(out)["held_out/win_rate", cycles], spoken(out, cycles)

    with at_a_time(args.jobs) as pool:
        due = {(t, s): pool.submit(played, t, s) for s in seeds for t in TASTES}
        found = {key: run.result() for key, run in due.items()}
    ours, lot = ([found[taste, seed] for seed in seeds] for taste in TASTES)
    rows = [
        replace(
            row(
                "people", "shorter", name, [one[i] for one in ours], "lot", [one[i] for one in lot]
            ),
            unit=unit,
        )
        for i, (name, unit) in enumerate((("held_out/win_rate", "share"), ("answer", "tokens")))
    ]
    show(rows)
    for taste, values in (("shorter", ours), ("lot", lot)):
        print(f"{taste}, by seed: {' '.join(f'{rate:.2f} ({n:.0f})' for rate, n in values)}")
    write(rows, args.json)


def play(taste: str, seed: int, cycles: int, out: Path) -> None:
    """Run one experiment to its end, at whose page somebody of this taste sits."""
    items = json.dumps(
        [{"prompt": f"Describe a {thing} to a child in one sentence."} for thing in THINGS]
    )
    experiment, log = out.with_suffix(".yaml"), out.with_suffix(".log")
    experiment.write_text(EXPERIMENT.format(cycles=cycles, items=items))
    command = [sys.executable, "-m", "moot.experiments.main", "run", str(experiment)]
    command += ["--out", str(out), "--set", f"seed={seed}"]
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file) as run:
        sit(log, lambda: run.poll() is None, taste, Random(seed))
    if run.returncode:
        sys.exit(f"{out} failed: {log} says why")


def sit(log: Path, goes_on: Callable[[], bool], taste: str, lot: Random) -> None:
    """Answer what is asked at the page of a run until it ends."""
    while goes_on():
        if (page := PAGE.search(log.read_text())) is None:
            time.sleep(0.2)
            continue
        address, key = page[1], page[2]
        try:
            if (question := asked(address, key)) is None:
                time.sleep(0.05)
                continue
            part, text = (message["content"] for message in question["prompt"])
            one, other = map(len, REPLIES.findall(text))
            first = one < other if part == "examiner" or taste == "shorter" else lot.random() < 0.5
            said = {"page": "", "question": question["name"], "text": "1" if first else "2"}
            asked(address, key, said)
        except (URLError, ConnectionError):  # it is just ending
            time.sleep(0.2)


def asked(address: str, key: str, reply: dict[str, str] | None = None) -> dict[str, Any] | None:
    """Return the next question, once a reply to the last is taken if there is one."""
    request = Request(
        f"{address}/{'question' if reply is None else 'reply'}",
        data=None if reply is None else json.dumps(reply).encode(),
        headers={"Authorization": f"Bearer {key}"},
    )
    with urlopen(request) as found:
        return json.load(found)["question"]


def spoken(out: Path, cycles: int) -> float:
    """Return how many tokens the last held-out answers had, in the mean."""
    file = out / f"held-out-{cycles:03d}" / "turns.parquet"
    return fmean(pq.read_table(file, columns=["tokens_out"])["tokens_out"].to_pylist())


if __name__ == "__main__":
    main()
