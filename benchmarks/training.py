"""Is an update cheaper on the prefix tree?  One optimiser step of the same work, ours and peers'.

The work: SmolLM2-135M-Instruct with LoRA (rank 16, alpha 32, all linear layers, the same small
random numbers on every side, no dropout), float32 on a CPU, bfloat16 on a GPU with adapters in
float32; random token ids; one pass over the whole batch, no recomputation of activations.  All
sides have as many threads: the physical cores, or OMP_NUM_THREADS if that is less.

    grpo   groups of 8: prompts of 512 tokens, completions of 64; one group, 8 on a GPU
    short  the same of 32 and 256: little is shared
    dpo    4 pairs, 16 on a GPU: prompts of 512, completions of 128; sigmoid, beta 0.1
    tree   a debate of 4 agents over 3 rounds, as moot.protocols.debate has it: all 12 turns are
           learnt from; prompts grow from 256 tokens to 1,856 with answers of 192 tokens; padded
           sides take half a round at a time, a round on a GPU, and accumulate gradients, for in one
           pass they would need some 60 GB; it spares them padding too
    peak   ours alone, on grpo's work, beside what the machine's matrix product reaches

The sides: `ours` is Moot's learner and loss on the tree; `padded` is the forward pass of
transformers (SDPA) on padded rows, the logits of the completions alone, and our loss code; `trl` is
TRL's own GRPOTrainer or DPOTrainer, its compute_loss on the same rows.  On a GPU also `liger`: TRL
with Liger's kernels, where they are installed; and `graphs`: ours with CUDA graphs.  A step goes
from lists of token ids to updated adapters: batch, forward, backward, clipping, AdamW (torch's
fused one for all; lr 1e-6).  The first step's loss and gradient norm, and those of the last step of
a turn, must agree to 1e-4 of their size (3e-2 in bfloat16), or the run fails; a group's loss before
the first step is the same whatever the model, so the norm is the check there.
DPO's anchor is the model without its adapter, asked in every step, without gradients: that is what
DPOTrainer does by default where it has made the adapter itself (precompute_ref_log_probs=False).

What is measured: `tokens_per_s` counts the tokens of the rows, each by itself, for all sides alike,
over the median step of a process.  `peak_memory` is the most memory that a fresh process had from
the first step on, less what it had with the model loaded: activations, gradients, the optimiser's
state and the code's own.  It is resident memory, or torch's allocated memory on a GPU, where a
side's one process is kept for all cases.  Sides take turns, their order reversed every other time;
the table has medians over repetitions, `ratio` is the median of the ratios paired by repetition,
and `low`/`high` are the least and the greatest of them.
`tokens_ratio` is how many tokens of rows a token of the tree stands for: the speed-up if all cost
came with tokens.  `share_of_limit` is how much of it is there: the speed-up over that number.

`peak` counts what is necessary for M tokens in the tree, K of them predicted, with P weights frozen
and L of adapters in linear layers, a head of V x E and attention of width A in all layers together:
(4P + 6L) M for linear layers (forward, and gradients of inputs and adapters), 4VEK for the head
(forward and gradient of its input) and 12A for each pair of a token and one that it sees (two
products forward, four backward).  It is compared with the best of six products of 4096 x 4096
matrices (8192, bfloat16 on a GPU).  What the last layer does for tokens whose state nobody reads,
and the gradient of the first layer's input, are counted as if they were necessary: 2 % at most.

Caveats.  Random ids and rows of one length are kind to padding: where completions differ in length,
padded sides lose more.  On a CPU TRL 1.16 puts prompt tokens through the head too (it packs only
where Triton runs); `padded` doesn't.  TRL also finds the entropy and what it logs, ours entropy
and certainty; `padded` nothing but log-probabilities.  Unsloth isn't here: its newest release
(2026.10.9) refuses TRL 1.16 and transformers 5.19, which the others are measured with.

    python benchmarks/training.py [--case NAME ...] [--repetitions 5] [--quick] [--json FILE]
                                  [--model FOLDER] [--peers-python PATH]
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median

from rows import Row, paired, show, write
from turns import Kept, Measured, fresh, take_turns

CASES = ("grpo", "dpo", "tree", "short", "peak")
MODEL = "smollm2-135m-instruct"
TOLERANCE = {"cpu": 1e-4, "cuda": 3e-2}
PYTHON = Path(".venv-peers/bin/python")
QUIET = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}

GPU = shutil.which("nvidia-smi") is not None

OWN = {"ours", "matmul"}
"""The sides without which there is nothing to compare."""


def main() -> None:
    """Measure each case, print the table, write the lines."""
    about = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=about)
    parser.add_argument("--case", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="small shapes, two repetitions")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peers-python", type=Path, default=PYTHON, help="of TRL's environment")
    parser.add_argument("--model", type=Path, help=f"another model's folder than {MODEL}'s")
    parser.add_argument("--measure", metavar="SIDE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        from training_sides import measure

        how, turns = (options.measure, options.model, options.quick), {}
        for case in map(str.strip, sys.stdin):
            if case not in turns:
                turns[case] = measure(case, *how)
            print(json.dumps(next(turns[case])), flush=True)
        return
    from moot.agents.weights.models import locate

    options.model = options.model or locate(MODEL)
    pythons = present(options.peers_python)
    cases = [case for case in options.case if case != "peak"]
    found = measured(cases, pythons, options) if cases else {}
    if "peak" in options.case:
        found |= measured(["peak"], dict.fromkeys(sorted(OWN), sys.executable), options)
    failed = [f"{side} in {case}" for case in cases for side in set(pythons) - set(found[case])]
    rows: list[Row] = []
    for case, told in found.items():
        rows += peak(told) if case == "peak" else compared(case, told)
    show(rows)
    write(rows, options.json)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def present(python: Path) -> dict[str, str]:
    """Return each side that there is, and the Python that runs it; say which are left out."""
    found = {"ours": sys.executable, "padded": sys.executable}
    if GPU:
        found["graphs"] = sys.executable
    if not python.exists():
        print(f"trl: left out, no {python} (see benchmarks/README.md)")
        return found
    found["trl"] = str(python)
    if not GPU:
        print("liger: left out, it needs a GPU")
    elif subprocess.run([python, "-c", "import liger_kernel"], capture_output=True).returncode:
        print(f"liger: left out, not installed in {python}'s environment")
    else:
        found["liger"] = str(python)
    return found


def measured(
    cases: list[str], sides: Mapping[str, str], options: argparse.Namespace
) -> dict[str, dict[str, list[Measured]]]:
    """Return by case what each side said; a peer that failed is named and left out.

    In fresh processes, so that memory is that of nothing else; on a GPU torch counts its own, and
    steps are shorter than what comes before them, so each side's process is kept.
    """
    more = ["--model", str(options.model), *(["--quick"] if options.quick else [])]
    found: dict[str, dict[str, list[Measured]]] = {}

    def command(side: str) -> list[str]:
        return [sides[side], __file__, "--measure", side, *more]

    def check(case: str, found: Mapping[str, list[Measured]]) -> None:
        for side in sorted(set(found) - OWN):
            agree(case, side, found["ours"][-1], found[side][-1])

    with closing(Kept(sides if GPU else (), command, QUIET)) as kept:
        left = list(sides)
        for case in cases:
            found[case] = take_turns(
                case,
                left,
                partial(kept.ask, case) if GPU else fresh(command, QUIET, f"{case}\n"),
                repetitions=2 if options.quick else options.repetitions,
                own=OWN,
                brief=_brief,
                after=partial(check, case),
            )
            left = list(found[case]) if GPU else left
    return found


def _brief(one: Measured) -> str:
    if "seconds" not in one:
        return f"{one['flops'] / 1e9:.1f} GFLOP/s"
    took = f"{median(one['seconds']):.3g} s, {one['memory'] / 1e6:.0f} MB"
    loss, norm = (" to ".join(f"{x:.7f}" for x in one[name]) for name in ("loss", "norm"))
    return f"{took}, loss {loss}, gradient {norm}"


def agree(case: str, side: str, ours: Measured, theirs: Measured) -> None:
    """End the run where the two sides didn't do the same work."""
    for name in ("device", "tokens"):
        if ours[name] != theirs[name]:
            sys.exit(f"{case}: {name} is {ours[name]} of ours, and {theirs[name]} of {side}")
    for name in ("loss", "norm"):
        for which, one, other in zip(("first", "last"), ours[name], theirs[name], strict=True):
            most = TOLERANCE[ours["device"]] * max(abs(one), abs(other))
            if not abs(one - other) <= most:
                sys.exit(f"{case}: the {which} step's {name} is {one} of ours, {other} of {side}")


def compared(case: str, found: dict[str, list[Measured]]) -> list[Row]:
    """Return speed and memory beside each peer's, and how near they come to the tree's limit."""
    ours = found.pop("ours")
    limit = ours[0]["tokens"] / ours[0]["tree"]
    unit = "tokens of rows a token of the tree"
    rows = [Row("training", case, "tokens_ratio", unit, limit, "rows", 1.0, limit, 1, None, None)]
    for peer, theirs in found.items():
        speeds = [[_speed(one) for one in side] for side in (ours, theirs)]
        memory = [[one["memory"] / 1e6 for one in side] for side in (ours, theirs)]
        gains = [mine / its for mine, its in zip(*speeds, strict=True)]
        saved = [its / mine for mine, its in zip(*memory, strict=True)]
        shares = [gain / limit for gain in gains]
        ones = [1.0] * len(shares)
        rows.append(
            paired("training", case, "tokens_per_s", "tokens/s", speeds[0], peer, speeds[1], gains)
        )
        rows.append(
            paired("training", case, "peak_memory", "MB", memory[0], peer, memory[1], saved)
        )
        if peer != "graphs":  # which is on the tree too
            share = paired("training", case, "share_of_limit", "share", shares, peer, ones, shares)
            rows.append(share)
    return rows


def peak(found: dict[str, list[Measured]]) -> list[Row]:
    """Return how much of the machine's peak our update reaches: its ratio."""
    ours = [one["flops"] / median(one["seconds"]) for one in found["ours"]]
    theirs = [one["flops"] for one in found["matmul"]]
    shares = [mine / its for mine, its in zip(ours, theirs, strict=True)]
    return [paired("training", "peak", "necessary_flops", "FLOP/s", ours, "matmul", theirs, shares)]


def _speed(one: Measured) -> float:
    return one["tokens"] / median(one["seconds"])


if __name__ == "__main__":
    main()
