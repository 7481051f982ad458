"""Findings: what a run showed, in the sentences that stand first in its report."""

from collections.abc import Mapping, Sequence

from ..analysis.stats import FEWEST, Interval
from .controls import beside_controls
from .conversations import Ending, endings
from .evaluations import improvement, over_baseline, trained, whole_cycles
from .panel import judges, warnings
from .readings import Readings
from .untrained import untrained
from .win_rate import won
from .words import count, measured, share, signed

FIRST = ("the vote of the first answers", "the first vote")
ALL = ("the majority of the answers it was made from", "the majority")
WHO = {
    "synthesis": ("The synthesised reference", ALL[0], "the reference", ALL[1]),
    "mixture": ("The aggregated reference", ALL[0], "the reference", ALL[1]),
    "selection": ("The selected answer", "the majority of the answers", "the selected", ALL[1]),
    "consensus": ("The weighted vote", "the plain vote", "the weighted vote", "the plain one"),
    "debate": ("The vote after the debate", FIRST[0], "the debate", FIRST[1]),
    "reconcile": ("The vote after the round table", FIRST[0], "the round table", FIRST[1]),
    "reflection": ("The vote after reflection", FIRST[0], "reflection", FIRST[1]),
    "critique": ("The vote after revision", FIRST[0], "the revision", FIRST[1]),
    "moderated": ("The debate's answer", "the first answer", "the debate", "the first answer"),
    "trial": ("The answer that won the trial", "the vote", "the trial", "the vote"),
    "tournament": ("The answer that won", "the vote", "the tournament", "the vote"),
    "judged": ("The answer judged best", "the vote of the answers", "the best-judged", "the vote"),
    "rubric": ("The reference", ALL[0], "the reference", ALL[1]),
}
"""What is set beside which majority, by protocol: in full, and for short."""
OTHERWISE = (
    "With `evaluation: {judging: {kind: pairwise}}` judges say how often what was learnt is better "
    "than what was said before."
)


def in_short(readings: Readings) -> list[str]:
    """Return all that a run showed, and what is to be doubted, as `moot run` ends with it."""
    reference = reference_findings(endings(readings.talks))
    doubts = warnings(judges(readings.metrics))
    beside = beside_controls(readings)
    return [*findings(readings), *beside, *([reference] if reference else []), *doubts]


def findings(readings: Readings) -> list[str]:
    """Return what the evaluations showed, the result first; plain where there is none yet."""
    of_accuracy, as_judged = _of_accuracy(readings), won(readings)
    known = whole_cycles(readings.metrics, "held_out/accuracy")
    return [*of_accuracy, *as_judged] if known else [*as_judged, *of_accuracy]


def _of_accuracy(readings: Readings) -> list[str]:
    accuracy = whole_cycles(readings.metrics, "held_out/accuracy")
    if not accuracy:
        return [_unevaluated(readings)]
    first, last = min(accuracy), max(accuracy)
    if first == last:
        return [
            f"Before any training the held-out accuracy is {measured(accuracy[first])}; "
            "no trained weights have been evaluated yet."
            if first == 0
            else f"Held-out accuracy after {count(first, 'cycle')} is {measured(accuracy[first])}."
        ]
    if not trained(readings):
        return untrained(readings)
    difference = improvement(readings, first, last)
    return [
        _change(accuracy[first], accuracy[last], difference, last - first),
        *_vote_of_samples(readings, last),
        *_verification(readings, last),
        *_beside_baseline(readings, last),
        *_unreadable(readings, first, last),
    ]


def _unevaluated(readings: Readings) -> str:
    if whole_cycles(readings.metrics, "held_out/unreadable"):
        said = "No answers to the held-out tasks are known, so accuracy can't be told."
        asked = (readings.experiment.get("evaluation") or {}).get("judging")
        return said if asked or not trained(readings) else f"{said} {OTHERWISE}"
    return "This run has just begun: nothing has been evaluated yet."


def _change(before: Interval, after: Interval, difference: Interval | None, cycles: int) -> str:
    over = f"over {count(cycles, 'cycle')}"
    ends = f"from {measured(before)} to {measured(after)}"
    if difference is None:
        return (
            f"Held-out accuracy went {ends} {over}; fewer than {FEWEST} tasks are in both "
            "evaluations, too few to tell whether that is learning."
        )
    paired = f"paired difference {signed(difference)}"
    if difference.low > 0:
        return f"Held-out accuracy rose {ends} {over} ({paired})."
    if difference.high < 0:
        return f"Held-out accuracy fell {ends} {over} ({paired})."
    return (
        f"No learning was shown: held-out accuracy went {ends} {over}, and the {paired} "
        "includes zero."
    )


def _vote_of_samples(readings: Readings, last: int) -> list[str]:
    """Return what a vote of the trained model's answers gives."""
    majority = whole_cycles(readings.metrics, "held_out/majority")
    samples = int(readings.experiment.get("evaluation", {}).get("samples") or 0)
    if samples < 2 or not {0, last} <= majority.keys():
        return []
    ends = f"from {measured(majority[0])} to {measured(majority[last])}"
    return [f"A vote of {samples} such answers went {ends}."]


def _verification(readings: Readings, last: int) -> list[str]:
    """Return how well the trained model tells which of its answers are right, if it learnt to."""
    f1, auc, weighed = (
        whole_cycles(readings.metrics, f"held_out/{name}").get(last)
        for name in ("verification_f1", "verification_auc", "weighted_majority")
    )
    if weighed is None:
        return []
    if f1 is None or auc is None:
        return [
            "How well its verdicts tell its right answers from its wrong ones can't be said: fewer "
            f"than {FEWEST} tasks have a right one, or fewer than {FEWEST} a wrong one. The vote "
            f"that they weigh gives {measured(weighed)}."
        ]
    return [
        f"Its verdicts on its own answers: F1 {measured(f1)}, and a right answer's is higher than "
        f"a wrong one's in {measured(auc)} of pairs; the vote that they weigh gives "
        f"{measured(weighed)}."
    ]


def _beside_baseline(readings: Readings, last: int) -> list[str]:
    """Return how a trained answer does beside a vote of the untrained model."""
    baseline = whole_cycles(readings.metrics, "baseline/majority")
    cast = whole_cycles(readings.metrics, "baseline/votes")
    if not (baseline and cast):
        due = readings.experiment.get("evaluation", {}).get("baseline") and trained(readings)
        missing = "The untrained model's vote at the same compute has not been taken yet."
        return [missing] if due and not baseline and last == readings.cycles else []
    base, number = baseline[max(baseline)], int(cast[max(cast)].value)
    could = whole_cycles(readings.metrics, "baseline/votes_affordable")
    affordable = int(could[max(could)].value) if could else number
    compute = "at the same compute"
    if affordable > number:
        compute = f"the most that is cast, though the run's compute would buy {affordable}"
    elif affordable < number:
        compute = "more than the run's compute buys"
    several = any(row["name"].startswith("baseline/majority@") for row in readings.metrics)
    whose = f"vote of {number}" + (" by each policy" if several else "")
    return [
        f"The untrained model's {whose}, {compute}, gives {measured(base)}: "
        f"{_beside(over_baseline(readings, last))}."
    ]


def _beside(difference: Interval | None) -> str:
    if difference is None:
        return "too few tasks are in both to compare a single answer of the trained model with it"
    paired = f"paired difference {signed(difference)}"
    if difference.low > 0:
        return f"a single answer of the trained model is better ({paired})"
    if difference.high < 0:
        return f"it beats a single answer of the trained model ({paired})"
    return f"a single answer of the trained model can't be told from it ({paired})"


def _unreadable(readings: Readings, first: int, last: int) -> list[str]:
    found = whole_cycles(readings.metrics, "held_out/unreadable")
    if first not in found or last not in found:
        return []
    before, after = found[first].value, found[last].value
    if max(before, after) < 0.02:
        return []
    went = f"went from {share(before)} to {share(after)}"
    return [f"The share of answers that can't be read, which count as wrong, {went}."]


def reference_findings(episodes: Sequence[Ending]) -> str | None:
    """Return how often the reference differs from the majority and who was right then."""
    told = [c for c in episodes if c.differs is not None]
    if not told:
        return None
    differing = [c for c in told if c.differs]
    known = [c for c in differing if c.right is not None]
    what, beside, reference_name, majority_name = WHO.get(told[0].protocol, WHO["rubric"])
    among = f"{len(told)} episode{'' if len(told) == 1 else 's'}"
    often = f"{len(differing)} of {among} ({share(len(differing) / len(told))})"
    said = f"{what} differs from {beside} in {often}"
    if unread := len(episodes) - len(told):
        said += f"; in {count(unread, 'other')} one of the two is missing or can't be read"
    said += "."
    if known:
        reference = sum(bool(c.right) for c in known)
        majority = sum(bool(c.majority_right) for c in known)
        neither = sum(not c.right and not c.majority_right for c in known)
        said += (
            f" Of these {reference_name} was right in {reference}, {majority_name} in "
            f"{majority} and neither in {neither}."
        )
    return said


def adopted(shares: Mapping[str, Interval]) -> str:
    """Return how much of what policies heard they adopted, and missed and said all the same.

    Args:
        shares: as `interaction.adoption` returns them.
    """
    if "heard" not in shares:
        return "No policy that had answered heard an unlike answer."
    said = f"Of the unlike answers that they heard, policies adopted {measured(shares['heard'])}"
    if "missed" not in shares:
        return (
            f"{said}. They missed none, so this talk can't tell how often they would have said the "
            "same without; `controls/reflection` says what they do alone."
        )
    said += f"; of those that they missed they gave {measured(shares['missed'])} all the same"
    return f"{said} ({signed(shares['over'])})." if "over" in shares else f"{said}."
