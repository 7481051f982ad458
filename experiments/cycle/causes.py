"""Causes: why weights learnt nothing in a cycle, as far as it was counted."""

from collections.abc import Iterable

from moot.protocols.journal import Metric


def causes(metrics: Iterable[Metric], cycle: int, suffix: str = "") -> str:
    """Return what was counted that leaves nothing to learn, in one line.

    Args:
        metrics: the run's.
        cycle: in which nothing was learnt.
        suffix: of the weights' own metrics: @NAME, or nothing where no others learn.
    """
    found = {m.name: m.value for m in metrics if m.cycle == cycle and m.step < 0}
    alike, alone, too_long = (
        found.get(f"train/{name}{suffix}", found.get(f"talk/{name}", 0.0))
        for name in ("alike", "alone", "too_long")
    )
    told = {
        "the talk gave no examples": float(found.get("talk/examples") == 0),
        "{:.0%} of the answers couldn't be read": found.get("talk/unreadable", 0.0),
        "{:.0%} of the answers were cut at max_tokens": found.get("talk/cut", 0.0),
        "{:.0%} of the episodes came to no reference": found.get("talk/reference_unreadable", 0.0),
        "{:.0f} rows of the file ask what is held out": found.get("talk/reserved", 0.0),
        "all rewards were alike in {:.0%} of the groups": alike,
        "{:.0%} of the groups had one answer": alone,
        "{:.0f} of its examples were longer than the model's context": too_long,
    }
    said = [words.format(value) for words, value in told.items() if value]
    return "; ".join(said) or "see talk/examples, and its metrics in train/"
