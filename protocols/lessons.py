"""Lessons of a vote: what turns that agree or disagree with what won may teach.

Whose last answer won is preferred over whose is another (MACA, arXiv:2509.15172).  An agent's first
answer that won is a demonstration for generators, and its last one for critics, who either kept to
a right answer or corrected a wrong one (multiagent finetuning, arXiv:2501.05707).  Left out: that
paper mixes the two kinds of critics in a proportion; here they are told apart by name.  A tie
teaches nothing: who is drawn has won nobody over.
"""

from collections.abc import Sequence

from moot.agents.task import Task

from .types import Demonstration, Preference, Turn


def preferences(
    task: Task, first: Sequence[Turn], last: Sequence[Turn], won: str | None, out: bool = True
) -> tuple[Preference, ...]:
    """Return one preference for each last answer that lost: over it, one that won.

    Those that lost are set beside those that won, going round from a drawn one, so that all that
    won are shown and none is for its place.  Both are taken as replies to the question alone, as it
    was put to the winner.  Each has probability 1: as in the paper a majority teaches all the same,
    however narrow it is.

    Args:
        task: what was answered.
        first: what was answered before anything was heard.
        last: the answers that stand.
        won: the answer that won; `None`: nobody did.
        out: whether what can't be read has neither won nor lost; else it has lost.
    """
    if won is None:
        return ()
    winners = [(began, turn) for began, turn in _conversations(first, last) if turn.answer == won]
    apart = {won, None} if out else {won}
    losers = [turn for turn in last if turn.answer not in apart] if winners else []
    start = task.drawing("winners").randrange(len(winners)) if losers else 0
    pairs = ((*winners[i % len(winners)], loser) for i, loser in enumerate(losers, start))
    return tuple(Preference(asked.index, a.index, b.index) for asked, a, b in pairs)


def demonstrations(
    first: Sequence[Turn], last: Sequence[Turn], won: str | None
) -> tuple[Demonstration, ...]:
    """Return what is demonstrated: `generator`, `critic_kept` and `critic_corrected` turns.

    A critic has answered before: what won, or something else that may not be readable.
    """
    if won is None:
        return ()
    generators = [Demonstration(t.index, t.index, "generator") for t in first if t.answer == won]
    critics = [
        Demonstration(
            turn.index,
            turn.index,
            "critic_kept" if began.answer == won else "critic_corrected",
        )
        for began, turn in _conversations(first, last)
        if turn.answer == won and turn.index != began.index
    ]
    return (*generators, *critics)


def _conversations(first: Sequence[Turn], last: Sequence[Turn]) -> list[tuple[Turn, Turn]]:
    """Return each last answer behind the first of its conversation, where there was one.

    An agent's i-th last answer belongs to its i-th first one.
    """
    began: dict[str, list[Turn]] = {}
    for turn in reversed(first):
        began.setdefault(turn.agent.name, []).append(turn)
    return [(began[name].pop(), turn) for turn in last if began.get(name := turn.agent.name)]
