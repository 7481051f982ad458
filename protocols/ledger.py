"""The ledger: what turns took, added up for every phase, protocol and agent.

It is told of every turn, those of episodes that fail later and replayed ones too.  So the account
of a phase that was resumed is that of the whole phase: what was said before the run was stopped
comes from the journal, and is told again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import cast

from moot.agents.price import Price

from .types import Turn


@dataclass(frozen=True, slots=True)
class Spent:
    """What some turns took, added up."""

    calls: int = 0
    tokens_in: int = 0
    """Prompt tokens, the cached among them."""
    tokens_cached: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    """Waited for completions, each counted in full though many were under way at once."""
    retries: int = 0
    """Tries of what was answered in the end, the last apart."""
    cost: float | None = None
    """At the engines' prices; `None`: none of them has one."""

    def __add__(self, other: "Spent") -> "Spent":
        """Return both together; what has no price adds nothing to the cost."""
        costs = [one.cost for one in (self, other) if one.cost is not None]
        return Spent(
            self.calls + other.calls,
            self.tokens_in + other.tokens_in,
            self.tokens_cached + other.tokens_cached,
            self.tokens_out + other.tokens_out,
            self.seconds + other.seconds,
            self.retries + other.retries,
            sum(costs) if costs else None,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """What an agent took, in one role, in one phase under one protocol."""

    phase: str
    """Called as the folder that the phase writes: `cycle-000`, `held-out-000`, `baseline`, ..."""
    protocol: str
    agent: str
    group: str
    role: str
    engine: str
    spent: Spent


Key = tuple[str, str, str, str, str]
"""Phase, protocol, agent, role, engine."""


@dataclass(slots=True)
class _Account:
    """A line that is being added to."""

    group: str
    calls: int = 0
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    microseconds: int = 0
    """Whole ones, so that they come to the same in whatever order they are added."""
    retries: int = 0

    @property
    def seconds(self) -> float:
        return self.microseconds / 1e6

    def add(self, other: "_Account") -> None:
        self.calls += other.calls
        self.tokens_in += other.tokens_in
        self.tokens_cached += other.tokens_cached
        self.tokens_out += other.tokens_out
        self.microseconds += other.microseconds
        self.retries += other.retries


COUNTS = tuple(f.name for f in fields(Spent) if f.name != "cost")
"""What is counted; the cost follows from it."""


class Ledger:
    """The accounts of a run: those of earlier phases, and those that are open now.

    The fuller of two accounts of the same stands: a phase that was cut off and is replayed begins
    at nothing again, and a talk that is over leaves out the tasks that failed in it.
    """

    def __init__(
        self, prices: Mapping[str, Price] | None = None, past: Iterable[Usage] = ()
    ) -> None:
        """Go on from what is known.

        Args:
            prices: what the tokens of engines cost, by the engine's name; all accounts are told at
                these, those of the past too.
            past: what earlier phases took.
        """
        self._prices = prices or {}
        self._past = {_key(one): self._priced(one) for one in past}
        self._open: dict[Key, _Account] = {}

    def turn(self, phase: str, protocol: str, turn: Turn) -> None:
        """Add one turn.  It is called for every one of millions: it adds, and makes nothing."""
        agent, said = turn.agent, turn.completion
        key = (phase, protocol, agent.name, agent.role, agent.engine)
        account = self._open.get(key)
        if account is None:
            account = self._open[key] = _Account(agent.group or agent.name)
        account.calls += 1
        account.tokens_in += said.tokens_in
        account.tokens_cached += said.tokens_cached
        account.tokens_out += said.tokens_out
        account.microseconds += round(said.latency_s * 1e6)
        account.retries += said.tries - 1

    def spent(self) -> Spent:
        """Return what the open accounts come to."""
        return sum((one.spent for one in self._opened()), Spent())

    def usage(self) -> list[Usage]:
        """Return all accounts.  It may be asked from another thread while turns are added."""
        found = dict(self._past)
        for one in self._opened():
            found[_key(one)] = _fuller(one, found.get(_key(one)))
        return list(found.values())

    def close(self) -> list[Usage]:
        """Close the open accounts, and return them as they stand from now on."""
        closed = [_fuller(one, self._past.get(_key(one))) for one in self._opened()]
        self._past = self._past | {_key(one): one for one in closed}
        self._open = {}
        return closed

    def _opened(self) -> list[Usage]:
        whole: dict[Key, _Account] = {}
        #  The copy is made in one go: an account may be opened meanwhile.
        for (phase, *who), account in self._open.copy().items():
            #  The evaluation of each of several agents is a phase of its own, PHASE@NAME.
            key = cast(Key, (phase.partition("@")[0], *who))
            whole.setdefault(key, _Account(account.group)).add(account)
        return [self._told(key, account) for key, account in whole.items()]

    def _told(self, key: Key, account: _Account) -> Usage:
        phase, protocol, agent, role, engine = key
        spent = Spent(**{name: getattr(account, name) for name in COUNTS})
        return self._priced(Usage(phase, protocol, agent, account.group, role, engine, spent))

    def _priced(self, one: Usage) -> Usage:
        price = self._prices.get(one.engine)
        if price is None:
            return one
        spent = one.spent
        cost = price.cost(spent.tokens_in, spent.tokens_cached, spent.tokens_out)
        return replace(one, spent=replace(spent, cost=cost))


def _key(one: Usage) -> Key:
    return one.phase, one.protocol, one.agent, one.role, one.engine


def _fuller(one: Usage, other: Usage | None) -> Usage:
    """Return the account of more calls; of as many, the first."""
    return one if other is None or one.spent.calls >= other.spent.calls else other
