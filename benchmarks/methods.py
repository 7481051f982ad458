"""Every method on one small task that can be checked, with the same budget: CaT's table, and more.

One-digit sums (experiments/configs/quickstart.yaml).  Without training: a single answer, the vote,
the model's own pick, the answer of least perplexity, the one that the others predict best, and the
synthesis, all by the untrained model on the held-out tasks.  With training: as many cycles, tasks,
answers and steps for each, and then a single answer.  A line's difference is to the single answer
of the untrained model, paired by seed; intervals are Student's t over seeds, at 95 %.

Of LaSeR there are lines more: how well its verdicts tell right answers from wrong ones, on held-out
tasks, and the vote of the same answers that they weigh, beside their plain vote.  Only answers that
end within the 8 tokens have a verdict, a quarter of them at first: learning.py gives it longer.

Seeds change everything: the split, the adapter, the sampling.  `rlvr` and `laser (labels)` learn
from labels; judges count alike (`trust: equal`), for else the tasks' answers would say which are
heard.  How much `dpo` imitates was chosen on the fourth of the five seeds.  The reward models of
`rlaif` learn which answers won the vote, or what a judge of the same size preferred; `direct` has
no model, but the judge's marks.  `rlhf` is left out: it is the same with people's preferences, and
these would be the labels.

    python benchmarks/methods.py [--seeds 5] [--quick] [--json FILE] [--runs DIR] [--only NAME ...]
                                 [--jobs 1]
"""

from statistics import fmean

from learning import CONFIGS, Measured, at_a_time, measured, options, play, row, show, verification
from rows import Row, write

CONFIG = CONFIGS / "quickstart.yaml"
VOTE = "{kind: consensus}"
ALONE = "{kind: sample}"
JUDGED = "{{kind: judged, talk: {{kind: sample}}, judging: {{kind: {}, better: the right sum}}}}"
MARKED, COMPARED = JUDGED.format("pointwise"), JUDGED.format("pairwise")
JUDGE = "{name: judge, role: judge, sampling: {temperature: 0}}"
POLICY = "{name: solver, count: 8, learns: true, sampling: {temperature: 0.7, max_tokens: 8}}"

UNTRAINED = {
    "majority": VOTE,
    "best of N (own pick)": "{kind: selection, by: self}",
    "least perplexity": "{kind: selection, by: perplexity}",
    "mutual predictability": "{kind: selection, by: mutual}",
    "synthesis": None,  # as the file has it
}
"""The protocol whose answer counts."""

TRAINED: dict[str, tuple[str | None, str]] = {
    "sft on synthesis": (None, "{kind: sft}"),
    "best-of-N distillation": ("{kind: selection, by: self}", "{kind: sft}"),
    "cat": (None, "{kind: cat, objective: {kl: 0}}"),
    "ttrl": (VOTE, "{kind: ttrl, objective: {kl: 0}}"),
    "srt": (VOTE, "{kind: srt, objective: {kl: 0}}"),
    "empo": (VOTE, "{kind: empo, objective: {kl: 0}}"),
    "intuitor": (ALONE, "{kind: intuitor, objective: {kl: 0}}"),
    "rent": (ALONE, "{kind: rent, objective: {kl: 0}}"),
    "rlvr": (ALONE, "{kind: rlvr, objective: {kl: 0}}"),
    "laser (labels)": (ALONE, "{kind: laser, objective: {kl: 0}}"),
    "laser (vote)": (VOTE, "{kind: laser, reward: match, objective: {kl: 0}}"),
    "dpo": (VOTE, "{kind: dpo, sft: 1.0}"),
    "kto": (VOTE, "{kind: kto}"),
    "rlaif (vote)": (VOTE, "{kind: rlaif, objective: {kl: 0}}"),
    "rlaif (judge)": (COMPARED, "{kind: rlaif, objective: {kl: 0}}"),
    "rlaif (direct)": (MARKED, "{kind: rlaif, by: grade, objective: {kl: 0}}"),
}
"""The protocol, and the method."""


def main() -> None:
    """Run the seeds, print the table, write the lines."""
    parser = options(__doc__, "methods")
    parser.add_argument("--only", nargs="*", help="these alone, by name")
    args = parser.parse_args()
    seeds, cycles = range(2 if args.quick else args.seeds), 1 if args.quick else 2
    folder = args.runs / ("quick" if args.quick else "whole")
    chosen = args.only or [*UNTRAINED, *TRAINED]

    def played(name: str, seed: int) -> Measured:
        out = folder / f"{''.join(c if c.isalnum() else '-' for c in name)}-{seed}"
        play(CONFIG, seed, out, settings(name, cycles))
        return measured(out)

    rows: list[Row] = []
    with at_a_time(args.jobs) as pool:  # a seed of every method, then the next
        due = {(name, seed): pool.submit(played, name, seed) for seed in seeds for name in chosen}
        for name in chosen:
            rows += compared(name, [due[name, seed].result() for seed in seeds], cycles)
    show(rows)
    write(rows, args.json)


def settings(name: str, cycles: int) -> list[str]:
    """Return what is to be otherwise than in the file."""
    sets = ["evaluation.baseline=false"]
    if name in UNTRAINED:
        sets += ["cycles=0", "population.0.learns=false", "method=null"]
        protocol = UNTRAINED[name]
    else:
        protocol, method = TRAINED[name]
        sets += [f"cycles={cycles}", f"method={method}", "evaluation.controls=false"]
    sets += [] if protocol is None else [f"protocol={protocol}"]
    alike = ["trust=equal", f"population=[{POLICY}, {JUDGE}]"]
    return [*sets, *alike] if protocol in (MARKED, COMPARED) else sets


def compared(name: str, runs: list[Measured], cycles: int) -> list[Row]:
    """Return how often the method's answer is right, beside a single answer before training."""
    before = [run["held_out/accuracy", 0] for run in runs]
    at = ("controls/protocol", 0) if name in UNTRAINED else ("held_out/accuracy", cycles)
    found = [row("methods", name, "accuracy", [run[at] for run in runs], "single", before)]
    found += verification("methods", name, runs, cycles)
    print(f"{name}: {fmean(run[at] for run in runs):.3f}", flush=True)
    return found


if __name__ == "__main__":
    main()
