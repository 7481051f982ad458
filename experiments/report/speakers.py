"""Speakers: what each agent read and said, and what that and every phase took and cost."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf

from moot.protocols.ledger import Spent

from .drawing import MANY
from .readings import Row


@dataclass(frozen=True, slots=True)
class Account:
    """What an agent took in a phase, or some accounts added up."""

    phase: str
    protocol: str
    agent: str
    group: str
    role: str
    spent: Spent

    def __add__(self, other: "Account") -> "Account":
        """Return both together, under this one's name."""
        return replace(self, spent=self.spent + other.spent)

    @property
    def cached(self) -> float | None:
        """Which share of what it read the engine had read before; `None`: none is known of."""
        spent = self.spent
        return spent.tokens_cached / spent.tokens_in if spent.tokens_cached else None

    @property
    def tokens(self) -> int:
        """Tokens, read and said."""
        return self.spent.tokens_in + self.spent.tokens_out


def accounts(usage: Iterable[Row]) -> list[Account]:
    """Return the rows of usage.parquet, phase by phase as they were played."""
    spends = Spent.__dataclass_fields__
    found = [
        Account(
            phase=row["phase"],
            protocol=row["protocol"],
            agent=row["agent"],
            group=row["group"],
            role=row["role"],
            spent=Spent(**{name: row[name] for name in spends}),
        )
        for row in usage
    ]
    return sorted(found, key=lambda one: _when(one.phase))


def _when(phase: str) -> tuple[float, str]:
    """Return what phases are ordered by: held-out-001 is after cycle-000, and baseline is last."""
    kind, _, number = phase.rpartition("-")
    ends = {"held-out": 0.0, "win-rate": 0.25, "cycle": 0.5}
    if kind in ends and number.isdecimal():
        return int(number) + ends[kind], ""
    return inf, "" if phase.startswith("controls") else phase


def speakers(found: Iterable[Account]) -> list[Account]:
    """Return who spoke, by name, or by group if they are many; the phase is that of the first."""
    people = _added((one.agent, one) for one in found)
    if len(people) <= MANY:
        return people
    return _added((one.group, replace(one, agent=one.group)) for one in people)


def phases(found: Iterable[Account]) -> list[Account]:
    """Return what each phase took; the agent is the first."""
    return _added((one.phase, one) for one in found)


def _added(named: Iterable[tuple[str, Account]]) -> list[Account]:
    """Return the accounts, those of one name together."""
    found: dict[str, Account] = {}
    for name, one in named:
        found[name] = found[name] + one if name in found else one
    return list(found.values())
