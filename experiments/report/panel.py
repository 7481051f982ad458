"""The panel: what became known of each judge, as the report tells it."""

from collections.abc import Iterable
from dataclasses import dataclass

from ..analysis.stats import Interval
from .readings import Row
from .words import share, signed

CHANCE = 0.5
"""The AUC of a judge that doesn't tell right from wrong."""
LEANING = 0.1
"""A taste for a place beyond which a judge is named."""
UNREADABLE = 0.2
"""The share of unreadable verdicts beyond which a judge is named."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A judge, by all that it found in the run."""

    name: str
    verdicts: int
    unreadable: float
    trust: float
    auc: Interval | None
    position_bias: Interval | None
    consistency: Interval | None
    length_bias: Interval | None
    self_preference: Interval | None
    with_people: Interval | None

    @property
    def at_chance(self) -> bool:
        """Return whether it can't be told from one that guesses."""
        return self.auc is not None and self.auc.low <= CHANCE <= self.auc.high


def judges(metrics: Iterable[Row]) -> list[Judge]:
    """Return the run's judges by its latest numbers of them."""
    latest: dict[str, dict[str, Interval]] = {}
    for row in sorted(metrics, key=lambda row: row["cycle"]):
        kind, _, judge = row["name"].removeprefix("judges/").partition("@")
        if row["name"].startswith("judges/") and judge:
            found = Interval(row["value"], row["low"], row["high"])
            latest.setdefault(judge, {})[kind] = found
    return [_judge(name, seen) for name, seen in latest.items() if "verdicts" in seen]


def _judge(name: str, seen: dict[str, Interval]) -> Judge:
    def value(kind: str) -> float | None:
        return seen[kind].value if kind in seen else None

    return Judge(
        name=name,
        verdicts=int(seen["verdicts"].value),
        unreadable=value("unreadable") or 0.0,
        trust=1.0 if (trust := value("trust")) is None else trust,
        auc=seen.get("auc"),
        position_bias=seen.get("position_bias"),
        consistency=seen.get("consistency"),
        length_bias=seen.get("length_bias"),
        self_preference=seen.get("self_preference"),
        with_people=seen.get("with_people"),
    )


def warnings(found: Iterable[Judge]) -> list[str]:
    """Return what is wrong with some judges, a sentence each."""
    said: list[str] = []
    for one in found:
        if one.at_chance and one.auc is not None:
            said.append(
                f"Judge {one.name} can't be told from chance: it finds a right answer better than "
                f"a wrong one with probability {one.auc.value:.2f} [{one.auc.low:.2f}, "
                f"{one.auc.high:.2f}], an interval that holds 0.5.{_unheard(one)}"
            )
        elif one.auc is not None and one.auc.high < CHANCE:
            said.append(
                f"Judge {one.name} is worse than chance: {one.auc.value:.2f} "
                f"[{one.auc.low:.2f}, {one.auc.high:.2f}].{_unheard(one)}"
            )
        if (bias := one.position_bias) is not None and _leans(bias):
            place = "first" if bias.value > 0 else "second"
            said.append(
                f"Judge {one.name} leans to the {place} place ({signed(bias)}); both orders are "
                "asked and averaged, so that this cancels out."
            )
        if one.unreadable > UNREADABLE:
            said.append(
                f"Judge {one.name} can't be read in {share(one.unreadable)} of its verdicts, and "
                "abstains there."
            )
    return said


def _leans(bias: Interval) -> bool:
    return abs(bias.value) > LEANING and not bias.low <= 0 <= bias.high


def _unheard(one: Judge) -> str:
    return "" if one.trust else " From the next cycle on it gets no weight."
