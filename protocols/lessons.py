"""Lessons of a vote: what turns that agree or disagree with what won may teach.

Whose last answer won is preferred over whose is another (MACA, arXiv:2509.15172).  An agent's first
answer that won is a demonstration for generators, and its last one for critics, who either kept to
a right answer or corrected a wrong one (multiagent finetuning, arXiv:2501.05707).
"""

from collections.abc import Sequence

from .types import Demonstration, Preference, Turn


def preferences(
    first: Sequence[Turn], last: Sequence[Turn], won: str | None
) -> tuple[Preference, ...]:
    """Return one preference for each last answer that lost: over it, one that won.

    The i-th that lost is set beside the i-th that won, going round, so that all that won are
    shown.  Both are taken as replies to the question alone, as it was put to the winner.  What
    can't be read has neither won nor lost.
    """
    asked = {turn.agent.name: turn.index for turn in reversed(first)}
    if won is None:
        return ()
    winners = [turn for turn in last if turn.answer == won and turn.agent.name in asked]
    losers = [turn for turn in last if turn.answer not in {won, None}] if winners else []
    pairs = ((winners[i % len(winners)], loser) for i, loser in enumerate(losers))
    return tuple(Preference(asked[a.agent.name], a.index, b.index) for a, b in pairs)


def demonstrations(
    first: Sequence[Turn], last: Sequence[Turn], won: str | None
) -> tuple[Demonstration, ...]:
    """Return what is demonstrated: `generator`, `critic_kept` and `critic_corrected` turns.

    A turn that is both a first and a last answer is a generator's alone.
    """
    if won is None:
        return ()
    began = {turn.agent.name: turn.answer for turn in reversed(first)}
    opening = {turn.index for turn in first}
    generators = [Demonstration(t.index, t.index, "generator") for t in first if t.answer == won]
    critics = [
        Demonstration(
            turn.index,
            turn.index,
            "critic_kept" if began.get(turn.agent.name) == won else "critic_corrected",
        )
        for turn in last
        if turn.answer == won and turn.index not in opening
    ]
    return (*generators, *critics)
