"""The win rate, in words: whether judges find what was learnt better than what was there before."""

from ..analysis.stats import FEWEST, Interval
from .evaluations import whole_cycles
from .figures import by_metric, metric_names
from .readings import Readings
from .words import count, measured, share

EVEN = 0.5


def won(readings: Readings) -> list[str]:
    """Return how often the trained model's held-out answers are found better; nothing: unasked."""
    unread = whole_cycles(readings.metrics, "held_out/win_rate_unread")
    if not unread:
        return []
    last = max(unread)
    rates = {
        name.partition("@")[2]: found[last]
        for name in by_metric(metric_names(readings.metrics)).get("held_out/win_rate", [])
        if last in (found := whole_cycles(readings.metrics, name))
    }
    after = f"after {count(last, 'cycle')}"
    if not rates:
        return [f"No judge could compare the held-out answers {after} with those before."]
    told = {"": rates[""]} if "" in rates else rates
    lost = unread[last].value
    apart = [f"{share(lost)} of the pairs could not be judged."] if lost else []
    return [*(_said(name, rate, after) for name, rate in told.items()), *apart]


def _said(name: str, rate: Interval, after: str) -> str:
    """Return one win rate in words; without an interval it is of too few tasks."""
    trained = f"{name}'s" if name else "the trained model's"
    how = f"{after} {trained} held-out answers win against the untrained model's"
    mean = "in the mean over tasks, ties by half"
    if rate.low == rate.high:
        few = f"fewer than {FEWEST} tasks, too few to tell anything"
        return f"As judges find it, {how} in {rate.value:.2f} of the pairs, of {few}."
    often = f"{how} in {measured(rate)} of the pairs, {mean}"
    if rate.low > EVEN:
        return f"Judges find what was learnt better: {often}."
    if rate.high < EVEN:
        return f"Judges find what was learnt worse: {often}."
    return f"No preference of the judges was shown: {often}."
