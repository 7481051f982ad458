"""Controls: how the protocol did beside what its tokens buy without it, in a sentence."""

from ..analysis.stats import FEWEST
from .evaluations import whole_cycles
from .readings import Readings
from .words import measured, signed

NAMES = {
    "judged": "judgement",
    "moderated": "moderated debate",
    "equivalent": "judged agreement",
    "reconcile": "round table",
}
"""What a protocol is called in a sentence, where its kind is no noun."""
CONTROLS = {
    "single": "a single answer",
    "vote": "a vote",
    "likeliest": "the likeliest of its answers",
    "reflection": "reflection without peers",
}


def beside_controls(readings: Readings, last: int) -> list[str]:
    """Return how the protocol itself does beside what its tokens buy without it."""
    ours = whole_cycles(readings.metrics, "controls/protocol").get(last)
    if ours is None:
        return []
    kind = readings.experiment.get("protocol", {}).get("kind") or "protocol"
    kind = NAMES.get(kind, kind)
    said: list[str] = []
    gains: list[str] = []
    for name, words in CONTROLS.items():
        theirs = whole_cycles(readings.metrics, f"controls/{name}").get(last)
        over = whole_cycles(readings.metrics, f"controls/over_{name}").get(last)
        if theirs is not None:
            gains += [gain := f" ({signed(over)})" if over else ""]
            said.append(f"{words}{_cost(readings, name, last)} {measured(theirs)}{gain}")
    if not said:
        return []
    beside = "Beside it (and what it gains)" if any(gains) else "Beside it"
    few = f" Fewer than {FEWEST} tasks are in both, too few to tell what it gains."
    return [
        f"The {kind} itself{_cost(readings, 'protocol', last)} is right in {measured(ours)} of the "
        f"held-out tasks. {beside}: {', '.join(said)}.{'' if any(gains) else few}"
    ]


def _cost(readings: Readings, name: str, last: int) -> str:
    """Return what a control costs, if that was measured."""
    found = whole_cycles(readings.metrics, f"controls/{name}_tokens").get(last)
    return f", at {found.value:.0f} tokens a task," if found else ""
