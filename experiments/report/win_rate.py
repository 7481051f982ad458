"""The win rate, in words: whether judges find what was learnt better than what was there before."""

from .evaluations import whole_cycles
from .readings import Readings
from .words import count, measured, share

EVEN = 0.5


def won(readings: Readings) -> list[str]:
    """Return how often the trained model's held-out answers are found better; nothing: unasked."""
    rates = whole_cycles(readings.metrics, "held_out/win_rate")
    unread = whole_cycles(readings.metrics, "held_out/win_rate_unread")
    if not rates:
        return ["No judge could compare the held-out answers."] if unread else []
    last = max(rates)
    rate = rates[last]
    if rate.low > EVEN:
        said = "Judges prefer the trained model's held-out answers"
    elif rate.high < EVEN:
        said = "Judges prefer the untrained model's held-out answers"
    else:
        said = "Judges can't tell the trained model's held-out answers from the untrained's"
    lost = unread[last].value if last in unread else 0.0
    apart = f"; {share(lost)} of the pairs could not be judged" if lost else ""
    after = count(last, "cycle")
    return [f"{said}: after {after} it wins {measured(rate)} of the pairs{apart}."]
