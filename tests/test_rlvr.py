"""RLVR: what is right earns 1, by the tasks' own answers, and nothing is earned where none is."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from told import answered, episode, learner, learnt, turn
from wrong import LEARNS

from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import InputError
from moot.experiments.yaml.loading import load
from moot.training.methods.rlvr import RLVR
from moot.training.model.rows import columns, rows
from moot.training.policy_gradient.objective import Objective


def test_right_answers_earn_one_whoever_gives_them_and_however_many() -> None:
    told = answered("5", "4", "5", "4.0", "none")

    assert [r.reward for r in RLVR().examples(told)] == [0, 1, 0, 1, 0]
    graded = RLVR(objective=Objective(kl=0)).graded(RLVR().examples(told))
    assert [r.advantage > 0 for r in graded] == [False, True, False, True, False]
    judged = episode([turn(0, "4"), turn(1, "4", role="judge"), turn(2, "4", role="critic")])
    assert [r.turn for r in RLVR().examples(judged)] == [0]


def test_what_is_right_gets_likelier_and_what_is_wrong_less(tiny: Path, tmp_path: Path) -> None:
    method, pupil = RLVR(objective=Objective(kl=0)), learner(tiny)
    examples = method.examples(answered("4", "5"))
    batch = rows(columns(examples), Tokens(tiny))

    before = pupil.policy(batch).logp.sum(-1)
    learnt(pupil, method, examples, tiny, tmp_path)
    after = pupil.policy(batch).logp.sum(-1)

    assert after[0] > before[0]
    assert after[1] < before[1]


def test_answers_to_a_task_without_one_of_its_own_earn_nothing() -> None:
    told = answered("4", "5")

    assert RLVR().examples(replace(told, task=replace(told.task, answer=None))) == []


def test_tasks_of_which_none_has_an_answer_are_refused(tmp_path: Path) -> None:
    text = f"{LEARNS}method: {{kind: rlvr}}\n"
    (tmp_path / "known.yaml").write_text(text)
    (tmp_path / "unknown.yaml").write_text(re.sub(r"answer: \d", "answer: null", text))

    load(tmp_path / "known.yaml")
    with pytest.raises(InputError, match=r"method\.kind: no task to learn from has a known answer"):
        load(tmp_path / "unknown.yaml")
    both = ["method={kind: sum, of: [{kind: ttrl}, {kind: rlvr}]}"]
    with pytest.raises(InputError, match=r"method\.of\.1\.kind: no task to learn from has a known"):
        load(tmp_path / "unknown.yaml", both)
