"""The state of a run: how far it is, and what is still to come."""

from collections.abc import Iterator

from pydantic import TypeAdapter, ValidationError

from moot.protocols import ProtocolChoice
from moot.protocols.types import Protocol

from .evaluations import trained, whole_cycles
from .readings import Readings
from .words import count

PROTOCOL = TypeAdapter[Protocol](ProtocolChoice)


def state(readings: Readings) -> str:
    """Return how far the run is."""
    evaluated = whole_cycles(readings.metrics, "held_out/unreadable") or readings.held_out
    done = max(evaluated, default=-1)
    if done >= readings.cycles:
        cycles = count(readings.cycles, "cycle")
        if due := [*_due(readings)]:
            return f"not finished: {cycles}, but not yet {' and '.join(due)}"
        return f"finished: {cycles}"
    if done < 0:
        return "not finished: nothing is evaluated yet"
    return f"not finished: {done} of {count(readings.cycles, 'cycle')}; the same command goes on"


def _due(readings: Readings) -> Iterator[str]:
    """Yield what is still to come after the last cycle."""
    settings = readings.experiment.get("evaluation") or {}
    there = {row["name"].partition("/")[0] for row in readings.metrics}
    measurable = bool(whole_cycles(readings.metrics, "held_out/accuracy"))
    controls = settings.get("controls") and measurable and not _people_answer(readings)
    if controls and "controls" not in there and _answers(readings):
        yield "the controls"
    compared = whole_cycles(readings.metrics, "held_out/win_rate_unread")
    if settings.get("judging") and trained(readings) and readings.cycles not in compared:
        yield "the last win rate"
    if settings.get("baseline") and measurable and trained(readings) and "baseline" not in there:
        yield "the untrained model's vote"


def _people_answer(readings: Readings) -> bool:
    """Return whether people answer, whose words cost nothing that controls could match."""
    engines = readings.experiment.get("engines") or {}
    human = {name for name, engine in engines.items() if engine.get("kind") == "human"}
    return any(
        "policy" in ([role] if isinstance(role := group.get("role", "policy"), str) else role)
        and (group.get("engine") or next(iter(engines))) in human
        for group in readings.experiment.get("population") or ()
    )


def _answers(readings: Readings) -> bool:
    """Return whether the protocol comes to an answer; of one that can't be read it isn't known."""
    try:
        return bool(
            PROTOCOL.validate_python(
                readings.experiment.get("protocol"), strict=False, context=readings.path.resolve()
            ).yields
        )
    except ValidationError:
        return False
