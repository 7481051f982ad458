"""A good experiment, and how to spoil it: each way with the whole error that it must give."""

from typing import Any

import pytest

GOOD = """\
name: trial
cycles: 1
engines:
  main: {kind: scripted, lines: ["1", "2"]}
population:
  - {name: solver, count: 3}
tasks:
  kind: inline
  verifier: number
  held_out: 1
  per_cycle: 1
  items: [{prompt: "1 + 1?", answer: 2}, {prompt: "1 + 2?", answer: 3}]
protocol: {kind: consensus}
"""
ENGINE = '{kind: scripted, lines: ["1", "2"]}'
TASKS = GOOD[GOOD.index("tasks:") : GOOD.index("protocol:")]
MODEL = "smollm2-135m-instruct"
PROTOCOLS = (
    "'sample', 'consensus', 'selection', 'synthesis', 'mixture', 'debate', 'reconcile', "
    "'reflection', 'critique', 'moderated', 'trial', 'tournament', 'judged', 'equivalent', 'rubric'"
)
LEARNS = GOOD.replace("count: 3", "learns: true").replace("]}\npop", f"], model: {MODEL}}}\npop")


def wrong(before: str, after: str, *errors: str) -> Any:
    """Return a file with `before` replaced, and the lines of its error, at x.yaml:LINE:COLUMN."""
    assert before in GOOD
    return pytest.param(GOOD.replace(before, after), errors, id=after[:50])


def added(line: str, *errors: str) -> Any:
    return pytest.param(f"{GOOD}{line}\n", errors, id=line[:50])


def engine(text: str, *errors: str) -> Any:
    return wrong(ENGINE, text, *errors)


def source(text: str, *errors: str) -> Any:
    return wrong(TASKS, f"tasks: {text}\n", *errors)
