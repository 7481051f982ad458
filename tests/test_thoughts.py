"""What a reasoning model thinks is no part of what it states."""

import pytest

from moot.agents.task import Task
from moot.protocols.verifiers import VERIFIERS


@pytest.mark.parametrize("verifier", ["number", "choice", "exact"])
def test_thoughts_state_nothing(verifier: str) -> None:
    task = Task("t", "?", "4", VERIFIERS[verifier])
    said = {"number": "4", "choice": "C", "exact": "lyon"}[verifier]

    thought = "<think>The answer is B, or 7. Wait.</think>"
    assert task.read(f"{thought}\n\n{said}") == task.read(said) == said
    assert task.read(f"the answer is 7</think>{said}") == said  # its template opens the thoughts
    assert task.read("<think>The answer is B, or 7. W") is None
    assert task.read(thought) is None
