"""What an experiment would do: agents, calls, tokens, memory, disk.  Nothing is run."""

from collections import Counter
from collections.abc import Iterator

from moot.agents.models import facts

from .evaluation import examinees
from .experiment import Experiment
from .tasks import Split

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def plan(experiment: Experiment, split: Split) -> Iterator[str]:
    """Yield the plan, a line each."""
    people = experiment.people()
    roles = Counter(agent.role for agent in people.agents)
    learners = people.learners()
    yield f"experiment  {experiment.name}, seed {experiment.seed}, {experiment.cycles} cycles"
    yield f"agents      {', '.join(f'{role} ×{n}' for role, n in roles.items())}"
    for name, agents in learners.items():
        yield f"learns      {name}: {len(agents)} agents, LoRA of rank {experiment.fit.lora.rank}"
    yield (
        f"tasks       {len(split.train)} to learn from, {len(split.held_out)} held out"
        + (f", {split.dropped} dropped as repeated" if split.dropped else "")
    )
    per_cycle, calls = experiment.tasks.per_cycle, experiment.protocol.calls(people)
    talk = sum(calls.values()) * per_cycle
    evaluation = len(examinees(people)) * len(split.held_out) * experiment.evaluation.samples
    votes = experiment.evaluation.baseline_votes * len(split.held_out)
    baseline = votes if experiment.evaluation.baseline and learners and experiment.cycles else 0
    cycles = experiment.cycles
    yield f"calls       {talk} a cycle ({', '.join(f'{a} {n * per_cycle}' for a, n in few(calls))})"
    total = talk * cycles + evaluation * (cycles + 1) + baseline
    yield (
        f"            {evaluation} an evaluation, {baseline} at most for the baseline; "
        f"{total} in all"
    )
    longest = max(agent.sampling.max_tokens for agent in people.agents)
    yield f"tokens      at most {total * longest} are generated (at most {longest} a call)"
    yield from _costs(experiment, set(learners))


def few(calls: object) -> list[tuple[str, int]]:
    """Return the calls of agents by name, agents of one group as one."""
    found: Counter[str] = Counter()
    assert isinstance(calls, dict)
    for name, n in calls.items():
        head, _, tail = str(name).rpartition("-")
        found[head if head and tail.isdecimal() else str(name)] += n
    return list(found.items())


def _costs(experiment: Experiment, learners: set[str]) -> Iterator[str]:
    for name, engine in experiment.engines.items():
        model = engine.trains
        known = facts(model) if model is not None else None
        if known is None:
            yield f"memory      {name}: not known without the model"
            continue
        held = 2 if learners and engine.kind != "scripted" else 1
        width = BYTES.get(getattr(engine, "dtype", "auto"), 4)
        gib = known.parameters * width * held / 2**30
        why = "served and trained" if held == 2 else "once"
        yield (
            f"memory      {name}: {known.parameters / 1e6:.0f} M parameters at {width} bytes, "
            f"{why}: {gib:.1f} GiB and what activations take"
        )
        if known.download:
            yield f"download    {name}: {known.download / 1e6:.0f} MB, once"
    if learners:
        yield f"disk        {experiment.cycles * len(learners)} adapters with optimiser states"
