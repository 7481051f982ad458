"""Checking: an episode's answers are checked as soon as it is over, beside all that goes on.

A verifier may take its time: it may run code, or ask a server.  Whoever wants to know later which
answers are right, to learn from them or to write it down, finds it known.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from moot.agents.verifier import is_quick

from .types import Episode

THREADS = ThreadPoolExecutor(thread_name_prefix="moot-verifier")
"""Not asyncio's own, in which names of servers are looked up: those can't wait for a verifier."""


async def check(episode: Episode) -> None:
    """Have the verifier say of each of an episode's answers whether it is right.

    Raises:
        Unverified: it raised an error.
    """
    task, outcome = episode.task, episode.outcome
    if task.answer is None:
        return
    given = [*(turn.answer for turn in episode.turns), outcome.answer, outcome.majority]
    answers = [answer for answer in dict.fromkeys(given) if answer is not None]
    if is_quick(task.verifier):
        for answer in answers:
            task.correct(answer)
        return
    loop = asyncio.get_running_loop()
    asked = [loop.run_in_executor(THREADS, task.correct, answer) for answer in answers]
    for found in await asyncio.gather(*asked, return_exceptions=True):
        if isinstance(found, BaseException):
            raise found
