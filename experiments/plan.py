"""What an experiment would do: agents, calls, tokens, cost, memory, disk.  Nothing is run."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from moot.agents.embedded.local import Local
from moot.agents.human.human import Human
from moot.agents.population import Agent
from moot.agents.price import PER
from moot.agents.types import WIDTH, on_this_machine
from moot.agents.weights.facts import Facts, facts
from moot.protocols.casting import EVERYBODY
from moot.training.methods.laser import LaSeR
from moot.training.settings import Fit

from .cycle.evaluation import MOST, examinees
from .experiment import Experiment
from .progress import money
from .tasks.split import Split
from .yaml.needs import verifying

Asked = Sequence[tuple[Mapping[Agent, int], int]]
"""How often each agent is asked, and how many times over."""


def plan(experiment: Experiment, split: Split) -> Iterator[str]:
    """Yield the plan, a line each."""
    people = experiment.people()
    yield f"experiment  {experiment.name}, seed {experiment.seed}, {experiment.cycles} cycles"
    yield f"agents      {', '.join(f'{role} ×{n}' for role, n in people.cast().items())}"
    lora = experiment.fit.lora
    how = "all weights" if lora is None else f"LoRA of rank {lora.rank}"
    for name, agents in people.learners().items():
        yield f"learns      {name}: {len(agents)} agents, {how}"
    if experiment.method is not None and experiment.method.reward_model is not None:
        yield f"            before them, in the same memory, a reward model, {how}"
    yield (
        f"tasks       {len(split.train)} to learn from, {len(split.held_out)} held out"
        + (f", {split.dropped} dropped as repeated" if split.dropped else "")
    )
    unknown = [sum(task.answer is None for task in part) for part in (split.train, split.held_out)]
    if any(unknown):
        yield f"            of these, {unknown[0]} and {unknown[1]} have no known answer"
    yield from _labels(experiment, split)
    yield from _calls(experiment, split)
    for name in experiment.engines:
        yield from _memory(experiment, name)
    yield from _disk(experiment)


def _labels(experiment: Experiment, split: Split) -> Iterator[str]:
    """Yield what known answers have a say in, beside what is measured, where somebody learns."""
    method, talking = experiment.method, experiment.talking(experiment.people())
    if method is None or all(task.answer is None for task in split.train):
        return
    taught = [".".join(map(str, at)) for at, _ in verifying(method)]
    judges = {agent.name for agent in talking.agents if agent.playing("judge")}
    heard = method.needs is not None and experiment.talked_about(0, split.train)
    weighed = experiment.trust == "labels" and experiment.cycles > 1 and heard
    if weighed and judges - experiment.persons():
        taught.append("trust (`labels`: which judges are heard)")
    if taught:
        yield f"labels      known answers teach, by {' and '.join(taught)}"


def _calls(experiment: Experiment, split: Split) -> Iterator[str]:
    held_out = len(split.held_out)
    people, cycles, evaluation = experiment.people(), experiment.cycles, experiment.evaluation
    talk = experiment.calls(people, experiment.talked_about(0, split.train))
    who = list(examinees(experiment.examined(people)).values())
    held = dict.fromkeys(who, held_out * evaluation.samples)
    method = experiment.method
    telling = split.measurable and cycles and isinstance(method, LaSeR) and method.alpha
    told = sum(held.values()) if telling else 0
    judged = experiment.judgements(people, split.held_out)
    due = evaluation.baseline and split.measurable and cycles and people.learners()
    vote = dict.fromkeys(who, evaluation.baseline_votes * held_out) if due else {}
    groups: Counter[str] = Counter()
    for agent, n in talk.items():
        groups[agent.group or agent.name] += n
    said = ", ".join(f"{name} {n}" for name, n in groups.items())
    yield f"calls       {sum(talk.values())} a cycle" + (f" ({said})" if said else "")
    if experiment.casting != EVERYBODY:
        yield "            in the first cycle; casts of other cycles may differ"
    total = sum(talk.values()) * cycles + sum(held.values()) * (cycles + 1) + sum(vote.values())
    total += sum(judged.values()) * cycles
    verdicts = f", and at most {told} verdicts after a cycle" if told else ""
    yield f"            {sum(held.values())} an evaluation{verdicts}"
    if judged:
        yield f"            at most {sum(judged.values())} by judges for the win rate after a cycle"
    if vote:
        yield f"            at most {sum(vote.values())} for the untrained model's vote"
    yield f"            {total + told * cycles} in all, without the controls"
    played = experiment.controlled and split.measurable
    control = experiment.calls(people, split.held_out) if played else Counter[Agent]()
    if played:
        yield (
            f"controls    {control.total()} calls for the protocol on the held-out tasks; then two "
            "controls, each of as"
        )
        yield (
            "            many answers without it as its tokens buy "
            f"(at most {MOST} of each policy to a task)"
        )
    asked = ((talk, cycles), (held, cycles + 1), (judged, cycles), (vote, 1))
    yield from _people(experiment, asked, control)
    yield from _tokens(experiment, asked)


def _people(experiment: Experiment, asked: Asked, control: Mapping[Agent, int]) -> Iterator[str]:
    """Yield how much people are asked at most, and how much of it in the protocol's control."""
    most, spared = Counter[str](), Counter[str]()
    for calls, times in (*asked, (control, 1)):
        for agent, n in calls.items():
            most[agent.engine] += times * n
            spared[agent.engine] += n if calls is control else 0
    for name, engine in experiment.engines.items():
        if isinstance(engine, Human):
            less = f", {spared[name]} of these in the controls" if spared[name] else ""
            yield (
                f"people      {name}: at most {most[name]} questions, and fewer where none has to "
                f"be asked twice{less}"
            )


def _tokens(experiment: Experiment, asked: Asked) -> Iterator[str]:
    """Yield what is generated at most, and what it costs."""
    most, judging = Counter[str](), 0
    for calls, times in asked:
        for agent, n in calls.items():
            if isinstance(experiment.engines[agent.engine], Human):
                continue
            tokens = times * n * agent.sampling.max_tokens
            most[agent.engine] += tokens
            judging += tokens if agent.role == "judge" else 0
    yield f"tokens      at most {most.total()} generated, without the controls"
    if judging:
        yield f"            {judging} of these by judges, far fewer if they only choose"
    prices = {name: e.price for name, e in experiment.engines.items() if e.price is not None}
    for name, price in prices.items():
        cost = money(most[name] * price.tokens_out / PER)
        yield (
            f"cost        {name}: at most {cost} for these, "
            f"and {price.tokens_in:g} per million prompt tokens"
        )


def _memory(experiment: Experiment, name: str) -> Iterator[str]:
    engine = experiment.engines[name]
    if isinstance(engine, Human):
        return
    known = facts(engine.trains) if engine.trains is not None else None
    if known is None:
        yield f"memory      {name}: not known without the model"
        return
    learners = [a for a in experiment.people().agents if a.engine == name and a.weights]
    fit = experiment.fit
    computes = on_this_machine(getattr(engine, "dtype", "auto"))
    served = known.size(engine.precision, computes) if engine.precision else 0
    used: dict[str, float] = {"served": served}
    if fit.lora is None and isinstance(engine, Local):  # it holds each learner's beside the base
        used["served"] *= 1 + len({agent.weights for agent in learners})
    if learners and not fit.apart:
        used |= _training(known, fit)
    yield (
        f"memory      {name}: {known.parameters / 1e6:.0f} M parameters: {_gib(used) or 'none'}, "
        "and activations"
    )
    if learners and fit.apart:
        yield from _apart(known, fit)
    if known.download:
        yield f"download    {name}: {known.download / 1e6:.0f} MB, once"


def _training(known: Facts, fit: Fit) -> dict[str, float]:
    """Return the bytes that a process trains in, by what they are for; activations apart."""
    share = fit.processes if fit.shard else 1
    # Adapters are beside the base themselves, and are not divided; so is a copy of all weights if
    # it is held in fewer bits.  The anchor's own base, where all weights learn, has gone before
    # there are gradients.
    apart = fit.lora is not None or fit.held != "float32"
    copies = 3 + apart + (fit.guards.then == "rollback")  # that keeps what there was
    beside = _learnt(known, fit) * copies / (share if fit.lora is None else 1)
    trained = known.size(fit.held, fit.precision) / share
    what = "what learns, gradients" if apart else "gradients"
    return {"trained": trained, f"for {what} and the optimiser": beside}


def _apart(known: Facts, fit: Fit) -> Iterator[str]:
    """Yield what each process of its own holds: on its GPU, and in the machine's memory."""
    who = f"each of {fit.processes} processes" if fit.processes > 1 else "a process"
    held = _gib(_training(known, fit))
    yield f"            {who}, on a GPU of its own if there are any: {held},"
    yield "            and activations" + (", and a layer at a time whole" if fit.shard else "")
    if not fit.shard:
        return
    whole = known.size(fit.held, fit.precision)
    led: dict[str, float] = {"as it loads the model": whole}
    if fit.lora is None:  # the weights and both moments are collected
        led["as it writes a checkpoint"] = whole * 3
    yield f"            one of them, of the machine's memory, at most {_gib(led)}"


def _gib(sizes: Mapping[str, float]) -> str:
    """Return sizes in words; none is said of what takes nothing."""
    return ", ".join(f"{n / 2**30:.1f} GiB {why}" for why, n in sizes.items() if n)


def _learning(experiment: Experiment) -> dict[str, str | None]:
    """Return the base model of all that learns, by name: weights, and the reward models."""
    learners, method = experiment.people().learners(), experiment.method
    found = {name: experiment.engines[who[0].engine].trains for name, who in learners.items()}
    if method is None or method.reward_model is None:
        return found
    return found | {f"reward model on {model}": model for model in found.values()}


def _disk(experiment: Experiment) -> Iterator[str]:
    for name, model in _learning(experiment).items():
        known = facts(model) if model is not None else None
        size = _learnt(known, experiment.fit) * 3 if known else 0  # AdamW has two moments of it
        yield (
            f"disk        {name}: {experiment.cycles} versions with optimiser states, "
            + (f"{size / 1e6:.0f} MB each" if size else "their size not known before the model is")
        )


def _learnt(known: Facts, fit: Fit) -> int:
    """Return the bytes of what learns, as of its gradient and each moment of it; 0: not known."""
    if fit.lora is None:
        return known.parameters * WIDTH["float32"]
    targets = fit.lora.targets
    named = known.linear if targets == "all-linear" else {t.rpartition(".")[2] for t in targets}
    wide = sum(n for name, n in known.linear.items() if name in named)
    return fit.lora.rank * wide * WIDTH["float32"]
