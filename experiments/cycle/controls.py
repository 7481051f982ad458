"""Controls: what the protocol's tokens buy without the protocol.

Debates and syntheses cost many answers, and much of what they give comes of that alone: majority
voting explains most of it (arXiv:2508.17536).  So the protocol is played on the held-out tasks, and
beside it a single answer, a vote (self-consistency) of as many answers as its tokens buy, the
likeliest of these (best of n by the model's own mean log-probability) and a vote of agents who
check their own answers without peers, again for its tokens.  Answers are whole, so a control may
cost less; where one of each policy costs more than the protocol, it costs more.  What each cost is
measured.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from moot.agents.population import Population
from moot.agents.task import Task
from moot.protocols.casting import EVERYBODY, Casting, seating
from moot.protocols.consensus import Consensus
from moot.protocols.journal import Metric
from moot.protocols.likelihood import least_perplexing
from moot.protocols.reflection import Reflection
from moot.protocols.stage import Stage
from moot.protocols.types import Episode, Protocol, Turn

from ..analysis.stats import FEWEST, mean_interval
from ..files.store import writing
from .evaluation import MOST
from .outline import outlines, ranked
from .talk import tokens


async def controls(
    stage: Stage,
    protocol: Protocol,
    tasks: Sequence[Task],
    people: Population,
    *,
    cycle: int,
    out: Path,
    casting: Casting = EVERYBODY,
) -> list[Metric]:
    """Play the protocol and its controls on `tasks`, write them down, and return how right each is.

    The metrics are controls/NAME, what is gained over each is controls/over_NAME (paired by task,
    from 8 tasks on), and the mean tokens of an episode are controls/NAME_tokens.  A control takes
    as many answers of each policy as the protocol's tokens buy, and one at least; all are compared
    on the same tasks.  An episode that is too long for an engine is left out and counted
    (controls/failed_episodes), for the run has come to its end.

    Args:
        stage: where they are played.
        protocol: one that comes to an answer.
        tasks: held out.
        people: who plays, at the versions that are to speak.
        casting: who of them plays which task, in the controls too.
        cycle: whose metrics these are.
        out: the run's directory; each control gets a folder in it, controls-NAME-N for N answers of
            each policy, and one for a single answer of each, by which it is known how many to take.
    """
    cast = seating(casting, people, tasks, stage.seed, cycle)
    patient = replace(stage, bears_refusals=True)
    failed: dict[str, int] = {}

    async def played(name: str, one: Protocol, n: str = "") -> list[Episode]:
        folder = out / f"controls-{name}{n}"
        with writing(folder, cycle) as write:
            play = patient.play(one, ranked(tasks), cast, folder.name)
            found, failed[name] = await outlines({name: play}, write)
        return found[name]

    async def matched(name: str, make: Callable[[int], Protocol]) -> list[Episode]:
        """Return the episodes of `make(n)`: the greatest n that costs no more, or else 1."""
        # A phase of its own: there the second turn is another agent's than among n answers each.
        once = await played(name, make(1), "-1")
        ours, theirs = shared(whole, once), shared(once, whole)
        n = min(MOST, tokens(ours) // tokens(theirs)) if tokens(theirs) else 1
        return once if n <= 1 else await played(name, make(n), f"-{n}")

    whole = await played("protocol", protocol)
    vote = await matched("vote", lambda n: Consensus(samples=n))
    reflection = await matched("reflection", lambda n: Reflection(samples=n))
    found = [Metric(cycle, "controls/failed_episodes", sum(failed.values()))]
    return found + compared(whole, vote, reflection, cycle=cycle, seed=stage.seed)


def compared(
    whole: Sequence[Episode],
    vote: Sequence[Episode],
    reflection: Sequence[Episode],
    *,
    cycle: int,
    seed: int,
) -> list[Metric]:
    """Return what each cost and how right it was, on the tasks that all have played.

    Args:
        whole: the protocol's episodes.
        vote: those of the vote; single answers and the likeliest are taken from them.
        reflection: those of the agents who check their own answers.
        cycle: whose metrics these are.
        seed: of the intervals' bootstrap.
    """
    everywhere = list(whole)
    for control in filter(None, (vote, reflection)):  # one that failed throughout is left out
        everywhere = shared(everywhere, control)
    found: list[Metric] = []
    for name, one in {"protocol": whole, "vote": vote, "reflection": reflection}.items():
        if played := shared(one, everywhere):
            cost = tokens(played) / len(everywhere)
            found.append(Metric(cycle, f"controls/{name}_tokens", cost))
    right: dict[str, Mapping[str, float]] = {
        "protocol": answered(whole),
        "single": {e.task.id: fmean(_right(e.task, t) for t in e.turns) for e in vote},
        "vote": answered(vote),
        "likeliest": likeliest(vote),
        "reflection": answered(reflection),
    }
    known = [episode.task.id for episode in everywhere if episode.task.answer is not None]
    for name, values in right.items():
        both = [task for task in known if task in values]
        alone = mean_interval([values[task] for task in both], seed, within=(0, 1))
        gain = [right["protocol"][task] - values[task] for task in both]
        told = name != "protocol" and len(both) >= FEWEST
        over = mean_interval(gain, seed, within=(-1, 1)) if told else None
        found += [Metric(cycle, f"controls/{name}", *alone)] if alone else []
        found += [Metric(cycle, f"controls/over_{name}", *over)] if over else []
    return found


def shared(episodes: Sequence[Episode], others: Sequence[Episode]) -> list[Episode]:
    """Return those of `episodes` whose tasks are among those of `others`."""
    there = {episode.task.id for episode in others}
    return [episode for episode in episodes if episode.task.id in there]


def answered(episodes: Sequence[Episode]) -> Mapping[str, float]:
    """Return, by task, whether the population's answer is right; none given isn't."""
    return {episode.task.id: float(bool(episode.correct)) for episode in episodes}


def likeliest(episodes: Sequence[Episode]) -> Mapping[str, float]:
    """Return, by task, whether the answer of the greatest mean log-probability is right.

    Where none is readable none is right; episodes without log-probabilities are left out.
    """
    found: dict[str, float] = {}
    for episode in episodes:
        best = least_perplexing([turn for turn in episode.turns if turn.answer is not None])
        if best is not None or any(turn.completion.logprobs for turn in episode.turns):
            found[episode.task.id] = _right(episode.task, best[0]) if best else 0.0
    return found


def _right(task: Task, turn: Turn) -> float:
    return float(bool(task.correct(turn.answer)))
