"""Held-out evaluation: what the policies answer to tasks they never learnt from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import fmean

from moot.agents.population import Agent, Population
from moot.agents.task import Task
from moot.protocols.consensus import Consensus
from moot.protocols.journal import Metric
from moot.protocols.reliability.discrimination import auc, verification_f1
from moot.protocols.stage import Failure, Stage
from moot.protocols.types import Episode, Turn
from moot.protocols.voting import plurality

from ..experiment import Evaluation
from .outline import outlines, ranked

MOST = 1000
"""Answers that a control takes of each policy for a task at most, however many tokens there are."""


def examinees(people: Population) -> dict[str, Agent]:
    """Return who is evaluated: one agent for each learned weights, else every policy."""
    learners = {name: agents[0] for name, agents in people.learners().items()}
    return learners or {agent.name: agent for agent in people.playing("policy")}


async def evaluate(
    stage: Stage,
    tasks: Sequence[Task],
    people: Population,
    samples: int,
    *,
    cycle: int,
    out: Path,
    telling: Collection[str] = (),
    apart: bool = False,
) -> list[Metric]:
    """Ask the examinees every task `samples` times, write it down, and return the metrics.

    The phase is called as the folder `out` is.
    A task counts as a mean over its answers (accuracy) and as one vote (majority).  An answer that
    can't be read isn't right; how many there were is reported beside, and so are the episodes that
    failed: those are not part of any mean.

    Args:
        stage: where they are asked.
        tasks: the held-out ones.
        people: who is examined, at the versions that are.
        samples: of each answer to a task.
        cycle: how many cycles they have learnt.
        out: the folder to write to.
        telling: the weights that learnt verdicts on their own answers, which are read too.
        apart: whether one is asked after the other: a server holds one set of whole weights.
    """
    found, failed = await _asked(
        stage, tasks, people, samples, cycle=cycle, out=out, telling=telling, apart=apart
    )
    metrics = [Metric(cycle, "held_out/failed_episodes", failed)]
    for suffix, episodes in found.items():
        metrics += summary(episodes, cycle, stage.seed, suffix)
    return metrics


async def _asked(
    stage: Stage,
    tasks: Sequence[Task],
    people: Population,
    samples: int,
    *,
    cycle: int,
    out: Path,
    telling: Collection[str] = (),
    apart: bool = False,
) -> tuple[dict[str, list[Episode]], int]:
    """Return the outlines of all examinees' episodes under "", those of each of several under
    @NAME, and how many failed.

    All are asked at once, and what they say is written by turns, task by task; or one is after the
    other.
    """
    from ..files.store import writing

    who = examinees(people)
    each = max(1, stage.settings.open_episodes // (1 if apart else len(who)))
    shared = replace(stage, settings=stage.settings.model_copy(update={"open_episodes": each}))
    plays: dict[str, AsyncGenerator[Episode | Failure]] = {}
    for name, agent in who.items():
        suffix = f"@{name}" if len(who) > 1 else ""
        vote = Consensus(samples=samples, weigh="self_reward" if name in telling else "equal")
        plays[suffix] = shared.play(vote, ranked(tasks), Population((agent,)), out.name + suffix)
    found: dict[str, list[Episode]] = {}
    failed = 0
    with writing(out, cycle) as write:
        for together in [{name: play} for name, play in plays.items()] if apart else [plays]:
            some, lost = await outlines(together, write)
            found |= some
            failed += lost
    return {"": [*chain.from_iterable(found.values())], **found}, failed


def summary(episodes: Sequence[Episode], cycle: int, seed: int, suffix: str = "") -> list[Metric]:
    """Return accuracy, majority, unreadable and cut shares, with bootstrap intervals over tasks.

    How right several examinees are together is told of the tasks that all of them answered: else
    it would rise where a weak one's episodes fail.

    Where verdicts were read, also how often the vote is right that they weigh, which is the
    episode's own then (LaSeR, arXiv:2510.14943), and how well they tell right answers from wrong
    ones, where enough tasks have either.
    """
    from ..analysis.stats import FEWEST, contrast, mean_interval, not_certain, resampled_all

    tasks: dict[str, list[Episode]] = {}
    for episode in episodes:
        tasks.setdefault(episode.task.id, []).append(episode)
    who = {episode.id.removesuffix(episode.task.id) for episode in episodes}
    known = [
        same for same in tasks.values() if same[0].task.answer is not None and len(same) == len(who)
    ]
    columns = {
        "accuracy": [fmean(map(accuracy, same)) for same in known],
        "majority": [fmean(map(majority, same)) for same in known],
        "unreadable": [fmean(map(unreadable, same)) for same in tasks.values()],
        "cut": [fmean(map(cut, same)) for same in tasks.values()],
        "tokens": [fmean(map(spent, same)) for same in tasks.values()],
    }
    told = [list(chain.from_iterable(map(verified, same))) for same in known]
    if any(told):
        columns["weighted_majority"] = [fmean(bool(e.correct) for e in same) for same in known]
    metrics: list[Metric] = []
    for name, values in columns.items():
        within = None if name == "tokens" else (0, 1)
        interval = mean_interval(values, seed, within=within)
        if interval is not None:
            metrics.append(Metric(cycle, f"held_out/{name}{suffix}", *interval))
    telling = contrast(told)
    found = resampled_all(told, verification, seed) if telling >= FEWEST else {}
    return metrics + [
        Metric(cycle, f"held_out/{name}{suffix}", *not_certain(of, telling))
        for name, of in found.items()
    ]


def answering(episode: Episode) -> list[Turn]:
    """Return the turns of an episode that answer its task."""
    return [turn for turn in episode.turns if turn.agent.role == "policy"]


def accuracy(episode: Episode) -> float:
    """Return the share of an episode's answers that are right."""
    return fmean(bool(episode.task.correct(turn.answer)) for turn in answering(episode))


def majority(episode: Episode) -> bool:
    """Return whether a vote in which all of an episode's answers count alike is right."""
    winner = plurality(episode.task, [turn.answer for turn in answering(episode)]).winner
    return bool(episode.task.correct(winner))


def unreadable(episode: Episode) -> float:
    """Return the share of an episode's answers that can't be read."""
    return fmean(turn.answer is None for turn in answering(episode))


def cut(episode: Episode) -> float:
    """Return the share of an episode's answers that end because they reached their most tokens."""
    return fmean(turn.completion.finish == "length" for turn in answering(episode))


def spent(episode: Episode) -> float:
    """Return the mean tokens, in and out, of an episode's answers."""
    return fmean(t.completion.tokens_in + t.completion.tokens_out for t in answering(episode))


def verified(episode: Episode) -> list[tuple[float, bool]]:
    """Return each verdict that was read on an answer, and whether the answer is right."""
    return [
        (turn.completion.verdict, bool(episode.task.correct(episode.turns[turn.heard[-1]].answer)))
        for turn in episode.turns
        if turn.completion.verdict is not None
    ]


def verification(told: Sequence[Sequence[tuple[float, bool]]]) -> Mapping[str, float]:
    """Return how well the verdicts on some tasks' answers tell the right from the wrong.

    LaSeR's F1 asks of them to lie on the right side of one half, the area under the ROC curve only
    to be higher for what is right.
    """
    pairs = list(chain.from_iterable(told))
    scores, right = [score for score, _ in pairs], [truth for _, truth in pairs]
    found = {
        "verification_f1": verification_f1(scores, right),
        "verification_auc": auc(scores, right),
    }
    return {name: value for name, value in found.items() if value is not None}


async def baseline(
    stage: Stage,
    tasks: Sequence[Task],
    people: Population,
    settings: Evaluation,
    metrics: Sequence[Metric],
    *,
    cycle: int,
    out: Path,
) -> list[Metric]:
    """Return how right majority votes of the untrained policies are at the run's own compute.

    The run's compute is every token it talked with plus three times every token that a step was
    taken on, by a reward model too (a backward pass costs two forward passes; what models thought
    of examples before is left out).  Spread over the examinees and the held-out tasks, it
    buys each untrained policy so many votes on each; `baseline_votes` bounds them.
    """

    def total(name: str) -> float:
        return sum(m.value for m in metrics if m.name.partition("@")[0] == name)

    run = total("talk/tokens") + 3 * total("train/tokens")
    vote = sum(m.value for m in metrics if m.name == "held_out/tokens" and m.cycle == 0)
    affordable = int(run / (vote * len(tasks) * len(examinees(people)))) if vote else 0
    votes = min(max(1, affordable), settings.baseline_votes)
    found, failed = await _asked(stage, tasks, people, votes, cycle=0, out=out)
    return [
        Metric(cycle, "baseline/votes", votes),
        Metric(cycle, "baseline/votes_affordable", affordable),
        Metric(cycle, "baseline/failed_episodes", failed),
        *(
            Metric(cycle, m.name.replace("held_out/", "baseline/"), m.value, m.low, m.high)
            for suffix, episodes in found.items()
            for m in summary(episodes, cycle, stage.seed, suffix)
            if m.name.startswith("held_out/majority")
        ),
    ]
