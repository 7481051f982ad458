"""Talk: a cycle's tasks go through the protocol, and what was said becomes what is learnt."""

from collections.abc import Callable, Iterable, Sequence, Set
from pathlib import Path
from statistics import fmean

from moot.agents.population import Population
from moot.agents.task import Task
from moot.protocols.casting import EVERYBODY, Casting, seating
from moot.protocols.journal import Metric
from moot.protocols.stage import Failure, Stage
from moot.protocols.types import Episode, Protocol, Signal, Turn
from moot.protocols.voting import plurality
from moot.training.data.examples import Example, Rollout, contrast

from ..files.store import writing

CHANGED = ("first_accuracy", "first_majority_accuracy", "corrected", "corrupted")
"""What is noted of first answers, and of those that became others."""


async def talk(
    stage: Stage,
    protocol: Protocol,
    tasks: Sequence[Task],
    people: Population,
    *,
    cycle: int,
    out: Path,
    casting: Casting = EVERYBODY,
    hear: Callable[[Episode], None] = lambda episode: None,
) -> None:
    """Play the cycle's episodes, write and measure them; none is kept.

    The phase is called as the folder `out` is.
    Once the talk is over it is always the same: an episode that failed in it stays failed, for
    what is learnt must not change while it is being learnt.

    Args:
        stage: where they are played.
        protocol: the rules.
        tasks: the cycle's.
        people: who plays, at the versions that are to speak.
        cycle: the number of the cycle.
        out: its folder.
        casting: who plays which task.
        hear: is told of every episode, in the tasks' order.
    """
    phase, journal = out.name, stage.journal
    lost = {task.id for task in tasks if journal.finished(f"{phase}/{task.id} failed")}
    due = [task for task in tasks if task.id not in lost]
    cast = seating(casting, people, tasks, stage.seed, cycle)
    failures: list[str] = []
    notes, total = Notes(protocol.yields), 0
    with writing(out, cycle, lessons=True) as write:
        async for one in stage.play(protocol, due, cast, phase):
            if isinstance(one, Failure):
                failures.append(one.id)
                continue
            write(one)
            notes.add(one)
            total += tokens([one])
            hear(one)
    counts = {"failed_episodes": len(lost) + len(failures), "tokens": total}
    found = [Metric(cycle, f"talk/{name}", float(n)) for name, n in counts.items()]
    journal.measure([*notes.metrics(cycle), *found])
    journal.finish(*(f"{name} failed" for name in failures))


class Notes:
    """What episodes noted, and how right their answers were: what is reported is the mean."""

    def __init__(self, yields: Set[Signal]) -> None:
        """Begin with none.

        Args:
            yields: what the protocol yields; a reference or an answer that is missing is not right.
        """
        self._yields = yields
        self._columns: dict[str, list[float]] = {}
        self._again = False

    def add(self, episode: Episode) -> None:
        """Take up what one episode noted."""
        first, last = bounds(episode)
        self._again |= first != last
        for name, value in {**noted(episode, self._yields), **episode.outcome.notes}.items():
            if value is not None:
                self._columns.setdefault(name, []).append(float(value))

    def metrics(self, cycle: int) -> list[Metric]:
        """Return the means over the episodes so far.

        What changed is told where anybody answered again, and then of all episodes: in those that
        ended at once nothing did.
        """
        told = {n: v for n, v in self._columns.items() if self._again or n not in CHANGED}
        return [Metric(cycle, f"talk/{name}", fmean(values)) for name, values in told.items()]


def noted(episode: Episode, yields: Set[Signal]) -> dict[str, float | None]:
    """Return what can be said of the answers that stood at the end, whatever the protocol."""
    task, (first, last) = episode.task, bounds(episode)
    answers = [turn.answer for turn in last]
    if not answers:
        return {}
    vote = plurality(task, answers)
    notes: dict[str, float | None] = {
        "unreadable": vote.unreadable / len(answers),
        "cut": fmean(turn.completion.finish == "length" for turn in last),
        "agreement": vote.share,
    }
    if "reference" in yields:
        notes["reference_unreadable"] = float(episode.outcome.reference is None)
    if task.answer is not None:
        notes["accuracy"] = fmean(bool(task.correct(answer)) for answer in answers)
        notes["majority_accuracy"] = float(bool(task.correct(vote.winner)))
        if yields:  # then the population answers, by a reference or by what was judged
            name = "reference_accuracy" if "reference" in yields else "answer_accuracy"
            notes[name] = float(bool(episode.correct))
    return notes | differing(episode) | changed(task, first, last)


def bounds(episode: Episode) -> tuple[list[Turn], list[Turn]]:
    """Return the policies' first and last answers: each one's turns of its first and last round."""
    rounds: dict[str, list[int]] = {}
    policies = [turn for turn in episode.turns if turn.agent.role == "policy"]
    for turn in policies:
        rounds.setdefault(turn.agent.name, []).append(turn.round)
    first = [turn for turn in policies if turn.round == min(rounds[turn.agent.name])]
    return first, [turn for turn in policies if turn.round == max(rounds[turn.agent.name])]


def changed(task: Task, first: Sequence[Turn], last: Sequence[Turn]) -> dict[str, float | None]:
    """Return how right the first answers were, and whose became right or wrong: `CHANGED`.

    Both are shares of all policies.
    """
    if task.answer is None:
        return {}
    was, now = _right(first, task), _right(last, task)
    pairs = [pair for name in was for pair in zip(was[name], now[name], strict=False)]
    vote = plurality(task, [turn.answer for turn in first])
    return {
        "first_accuracy": fmean(bool(task.correct(turn.answer)) for turn in first),
        "first_majority_accuracy": float(bool(task.correct(vote.winner))),
        "corrected": fmean(after and not before for before, after in pairs),
        "corrupted": fmean(before and not after for before, after in pairs),
    }


def _right(turns: Sequence[Turn], task: Task) -> dict[str, list[bool]]:
    """Return for each agent whether its answers are right, in the order they were given."""
    found: dict[str, list[bool]] = {}
    for turn in turns:
        found.setdefault(turn.agent.name, []).append(bool(task.correct(turn.answer)))
    return found


def differing(episode: Episode) -> dict[str, float | None]:
    """Return whether the reference differs from the majority it was made from, and who is right."""
    task, found, majority = episode.task, episode.outcome.answer, episode.outcome.majority
    if found is None or majority is None:
        return {}
    if found == majority or task.answer is None:
        return {"reference_differs": float(found != majority)}
    return {
        "reference_differs": 1.0,
        "reference_right_when_differs": float(bool(task.correct(found))),
        "majority_right_when_differs": float(bool(task.correct(majority))),
    }


def taught(examples: Sequence[Example], cycle: int) -> list[Metric]:
    """Return what a cycle's talk gave to learn: examples, mean reward, groups without contrast."""
    rewards = [e.reward for e in examples if isinstance(e, Rollout) and e.reward is not None]
    found = {"talk/examples": float(sum(example.teaches for example in examples))}
    found |= {"talk/reward": fmean(rewards)} if rewards else {}
    found |= {f"talk/{name}": share for name, share in contrast(examples).items()}
    return [Metric(cycle, name, value) for name, value in found.items()]


def tokens(episodes: Iterable[Episode]) -> int:
    """Return the tokens, in and out, of all turns."""
    return sum(
        turn.completion.tokens_in + turn.completion.tokens_out
        for episode in episodes
        for turn in episode.turns
    )
