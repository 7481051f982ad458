"""A run made by hand: what its agents said, and what came of it, without an engine."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.agents.types import Completion
from moot.experiments.files.store import write_metrics, writing
from moot.protocols.consensus import Consensus
from moot.protocols.journal import Metric
from moot.protocols.synthesis import Synthesis
from moot.protocols.types import Episode, Protocol, Say, Turn

EVIL = "</script><script>alert(1)</script><img src=https://evil.example/x onerror=alert(2)>"

RESOLVED = """\
name: sums & <b>differences</b>
seed: 7
cycles: 2
engines:
  main: {kind: local, model: smollm2-135m-instruct, limits: {concurrency: 64}}
population:
- {name: solver, role: policy, count: 4, engine: null, persona: '', learns: true, adapters: shared,
   sampling: {temperature: 0.7, top_p: 1.0, max_tokens: 8}}
tasks: {kind: file, path: sums.jsonl, verifier: number, held_out: 12, per_cycle: 6}
protocol: {kind: synthesis, samples: 1, question: hidden}
method: {kind: cat, objective: {kl: 0.001}}
fit: {lr: 0.0003, epochs: 1, lora: {rank: 16, targets: all-linear}}
evaluation: {samples: 4, baseline: true}
stage: {episodes: 64}
made_with: {moot: 0.1.0, torch: 2.13.0}
"""


class Number:
    """Reads the last word of digits."""

    def read(self, text: str) -> str | None:
        found = re.findall(r"\d+", text.partition("<")[0])
        return found[-1] if found else None

    def score(self, answer: str, expected: str) -> float:
        return float(answer == expected)


def told(task: Task, protocol: Protocol, people: Population, texts: Sequence[str]) -> Episode:
    """Play a protocol by hand: its n-th turn says texts[n]."""
    script, turns, round_ = protocol(task, people), list[Turn](), 0
    says: list[Say] = next(script)
    while True:
        spoken: list[Turn] = []
        for say in says:
            text = texts[len(turns) + len(spoken)]
            said = Completion(text, "stop", say.agent.version, len(say.text) // 4, 3, 0.25)
            index, prompt = len(turns) + len(spoken), say.agent.prompt(say.text)
            answer = task.verifier.read(text)
            spoken.append(Turn(index, round_, say.agent, prompt, said, say.heard, answer))
        turns, round_ = [*turns, *spoken], round_ + 1
        try:
            says = script.send(spoken)
        except StopIteration as end:
            return Episode(f"e/{task.id}", task, protocol.kind, tuple(turns), end.value)


def people(version: int) -> Population:
    """Return four solvers that share weights."""
    solver = {"role": "policy", "engine": "main", "weights": "solver"}
    return Population(
        tuple(Agent(name=f"solver-{i}", **solver, version=version) for i in range(4))  # pyright: ignore[reportArgumentType]
    )


def sums(first: int, n: int) -> list[Task]:
    """Return n sums."""
    pairs = [(i, 2 * i + 1) for i in range(first, first + n)]
    return [Task(f"{a}+{b}", f"What is {a} + {b}?", str(a + b), Number()) for a, b in pairs]


def says(task: Task, skill: float, rng: Random, n: int) -> list[str]:
    """Return n answers of which about `skill` are right."""
    assert task.answer is not None
    wrong = str(int(task.answer) + 1)
    return [f"It is {task.answer if rng.random() < skill else wrong}." for _ in range(n)]


def write_episodes(folder: Path, cycle: int, episodes: Iterable[Episode]) -> None:
    """Write what was said, and what was concluded."""
    with writing(folder, cycle) as add:
        for episode in episodes:
            add(episode)


def talk(run: Path, cycle: int, skill: float) -> list[Metric]:
    """Write a cycle's talk; its first answer is hostile, and one reference differs."""
    rng, synthesis, episodes = Random(cycle), Synthesis(), list[Episode]()
    for i, task in enumerate(sums(100 * cycle, 6)):
        texts = [*says(task, skill, rng, 4), f"The answer is {task.answer}."]
        texts[0] = EVIL if i == 0 else texts[0]
        episodes.append(told(task, synthesis, people(cycle), texts))
    write_episodes(run / f"cycle-{cycle:03d}", cycle, episodes)
    steps = [
        Metric(cycle, f"train/{name}", 0.5 / (step + 1), step=step)
        for step in (0, 1)
        for name in ("loss", "reward", "oddity")
    ]
    return [Metric(cycle, "talk/agreement", 0.6), Metric(cycle, "talk/accuracy", skill), *steps]


def evaluation(run: Path, version: int, skill: float) -> list[Metric]:
    """Write a held-out evaluation."""
    rng, vote = Random(40 + version), Consensus(samples=4)
    alone = Population(people(version).agents[:1])
    tasks = sums(1000, 12)
    episodes = [told(task, vote, alone, says(task, skill, rng, 4)) for task in tasks]
    write_episodes(run / f"held-out-{version:03d}", version, episodes)
    measured = [("accuracy", skill), ("majority", skill), ("unreadable", 0.0)]
    return [
        Metric(version, f"held_out/{n}", v, max(0, v - 0.1), min(1, v + 0.1)) for n, v in measured
    ]


def finished(run: Path) -> Path:
    """Write a finished run of two cycles to the folder `run`, and return it."""
    (run / "experiment.yaml").write_text(RESOLVED)
    metrics = evaluation(run, 0, 0.3)
    for cycle, skill in enumerate((0.6, 0.95)):
        metrics += talk(run, cycle, skill) + evaluation(run, cycle + 1, skill)
        (run / f"cycle-{cycle:03d}" / "weights" / "solver").mkdir(parents=True)
    untrained = Population((replace(people(0).agents[0], weights=None),))
    votes = [told(t, Consensus(samples=2), untrained, ["It is 0."] * 2) for t in sums(1000, 12)]
    write_episodes(run / "baseline", 0, votes)
    metrics += [Metric(2, "baseline/majority", 0.5, 0.4, 0.6), Metric(2, "baseline/votes", 23)]
    write_metrics(run / "metrics.parquet", metrics)
    return run
