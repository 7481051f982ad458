"""A run of every method on a tiny model, for tests of what comes of it."""

import json
from pathlib import Path

from moot.experiments.run import run
from moot.experiments.yaml.loading import load

EXPERIMENT = """\
name: method
seed: 5
cycles: 1
engines:
  main: {{kind: local, model: {model}, device: cpu}}
population:
  - {{name: pupil, count: 3, learns: true, sampling: {{temperature: 1, max_tokens: 2}}}}
{judge}tasks:
  kind: inline
  verifier: exact
  held_out: 2
  per_cycle: 4
  items: [{items}]
protocol: {protocol}
method: {method}
fit: {{lr: 1e-2, groups: 2, device: cpu, lora: {{rank: 4}}}}
evaluation: {{samples: 1, controls: false, baseline: false}}
"""
JUDGE = "  - {name: judge, role: judge, sampling: {temperature: 0, max_tokens: 4}}\n"
VOTE = "{kind: consensus, samples: 2}"
SAMPLE = "{kind: sample, samples: 2}"
JUDGED = "{kind: judged, talk: {kind: sample, samples: 2}, judging: {kind: pairwise}}"
MARKED = "{kind: judged, talk: {kind: sample, samples: 2}, judging: {kind: pointwise}}"

RUNS = {
    "cat": (VOTE, "{kind: cat}"),
    "cat, ungrouped": (VOTE, "{kind: cat, objective: reinforce++}"),
    "cat by grades": (MARKED, "{kind: cat, reward: grade}"),
    "ppo": (VOTE, "{kind: cat, objective: ppo}"),
    "ttrl": (SAMPLE, "{kind: ttrl, learn: 4}"),
    "srt": (SAMPLE, "{kind: srt, soft: true}"),
    "empo": (SAMPLE, "{kind: empo}"),
    "intuitor": (SAMPLE, "{kind: intuitor}"),
    "rent": (SAMPLE, "{kind: rent}"),
    "sum": (VOTE, "{kind: sum, of: [{kind: cat}, {kind: intuitor}], weigh: [1, 0.5]}"),
    "dpo": (JUDGED, "{kind: dpo, soft: true, sft: 0.1}"),
    "dpo of a file": (SAMPLE, "{kind: dpo, talk: false, file: likes.jsonl}"),
    "kto": (JUDGED, "{kind: kto}"),
    "sft": (VOTE, "{kind: sft}"),
    "sft of demonstrations": (VOTE, "{kind: sft, on: demonstrations, weigh: {generator: 0.5}}"),
    "sft of the best": (MARKED, "{kind: sft, on: best}"),
    "rlaif": (JUDGED, "{kind: rlaif}"),
    "rlaif, direct": (MARKED, "{kind: rlaif, by: grade}"),
    "rlhf": (SAMPLE, "{kind: rlhf, file: likes.jsonl}"),
}
LIKES = [{"prompt": f"question {i}", "chosen": "a", "rejected": "bb"} for i in range(3)]


def played(folder: Path, model: Path, name: str, *sets: str) -> Path:
    """The directory of a run of the method, which ended."""
    protocol, method = RUNS[name]
    items = ", ".join(f"{{prompt: question {i}, answer: a}}" for i in range(8))
    judge = JUDGE if "kind: judged" in protocol else ""
    text = EXPERIMENT.format(
        model=model, items=items, protocol=protocol, method=method, judge=judge
    )
    (folder / "x.yaml").write_text(text)
    (folder / "likes.jsonl").write_text("\n".join(map(json.dumps, LIKES)))
    run(*load(folder / "x.yaml", sets), folder / "out")
    return folder / "out"
