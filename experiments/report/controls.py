"""Controls: how the protocol did beside what its tokens buy without it."""

from dataclasses import dataclass

from ..analysis.stats import FEWEST, Interval
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
TOO_FEW = f"Fewer than {FEWEST} tasks are in both, too few to tell what it gains."


@dataclass(frozen=True, slots=True)
class Control:
    """The protocol, or what its tokens buy without it, on the held-out tasks at the end."""

    what: str
    right: Interval
    tokens: float | None
    """Of a task, in and out; `None`: not measured."""
    gain: Interval | None = None
    """What the protocol gains over it; `None`: too few tasks are in both, or it is the protocol."""


def controls(readings: Readings) -> list[Control]:
    """Return the protocol, and then what there is beside it; empty where it wasn't measured."""
    kind = readings.experiment.get("protocol", {}).get("kind") or "protocol"
    name = NAMES.get(kind, kind.rpartition(":")[2])  # of a class of the user's own, the class
    names = {"protocol": f"the {name} itself", **CONTROLS}
    last = max(whole_cycles(readings.metrics, "held_out/accuracy"), default=0)

    def at_the_end(name: str) -> Interval | None:
        return whole_cycles(readings.metrics, f"controls/{name}").get(last)

    found: list[Control] = []
    for name, what in names.items():
        if (right := at_the_end(name)) is not None:
            tokens = at_the_end(f"{name}_tokens")
            gain = at_the_end(f"over_{name}")
            found.append(Control(what, right, tokens.value if tokens else None, gain))
    return found if len(found) > 1 and at_the_end("protocol") else []


def beside_controls(readings: Readings) -> list[str]:
    """Return the same in words, a line each."""
    if not (found := controls(readings)):
        return []
    ours, *others = found
    told = any(one.gain for one in others)
    return [
        f"{ours.what.capitalize()}{_at(ours)} is right in {measured(ours.right)} of the held-out "
        f"tasks. What its tokens buy without it{', and what it gains over that' if told else ''}:",
        *(
            f"  {one.what}{_at(one)} {measured(one.right)}"
            + (f" ({signed(one.gain)})" if one.gain else "")
            for one in others
        ),
        *([] if told else [TOO_FEW]),
    ]


def _at(one: Control) -> str:
    return "" if one.tokens is None else f", at {one.tokens:.0f} tokens a task,"
