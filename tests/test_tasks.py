"""Tasks: the same in every format, and what of them is asked, held out and known."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from task_files import CONFIGS, SUMS, WRITERS, as_task, bad, write_jsonl

from moot.agents.errors import MootError
from moot.experiments.tasks.split import divide, task
from moot.experiments.tasks.table import File, Inline, Item
from moot.protocols.verifiers import VERIFIERS


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_rows_are_the_same_tasks_in_every_format(tmp_path: Path, kind: str) -> None:
    WRITERS[kind](tmp_path / f"sums.{kind}", SUMS)

    split = File(path=str(tmp_path / f"sums.{kind}"), verifier="number").load(0)

    assert split == divide(map(as_task, SUMS), held_out=32, per_cycle=16, seed=0)
    assert (len(split.train), len(split.held_out), split.dropped) == (68, 32, 0)


@pytest.mark.parametrize(("name", "n"), [("sums", 55), ("differences", 55), ("arithmetic", 156)])
def test_the_shipped_sums_are_right_and_none_is_another_turned_round(name: str, n: int) -> None:
    """Or 3 + 5 might be learnt from and 5 + 3 be held out: no better than the same question."""
    lines = (CONFIGS / f"{name}.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    found = [re.fullmatch(r"What is (\d+) ([+-]) (\d+)\?", row["prompt"]) for row in rows]
    asked = [(int(m[1]), m[2], int(m[3])) for m in found if m is not None]

    assert [row["answer"] for row in rows] == [
        str(a + b if s == "+" else a - b) for a, s, b in asked
    ]
    assert len({(s, frozenset((a, b))) for a, s, b in asked}) == len(rows) == n


def test_a_template_is_put_around_each_question_and_only_its_field_is_filled(
    tmp_path: Path,
) -> None:
    found = [{"q": f"{{prompt}} {i} {{x}}", "a": i} for i in range(3)]
    write_jsonl(tmp_path / "x.jsonl", found)
    source = File(
        path=str(tmp_path / "x.jsonl"),
        verifier="number",
        prompt_column="q",
        answer_column="a",
        template="{y} {prompt}!",
        held_out=1,
        per_cycle=2,
    )

    split = source.load(0)

    asked = {t.prompt: t.answer for t in (*split.train, *split.held_out)}
    assert asked == {f"{{y}} {{prompt}} {i} {{x}}!": str(i) for i in range(3)}


def test_an_id_depends_on_the_question_alone() -> None:
    one = task("What is 2?", "2", VERIFIERS["number"], "{prompt}")
    other = task(" what  is 2?", "two", VERIFIERS["exact"], "Say: {prompt}")

    assert one.id == other.id


def test_a_file_apart_is_held_out_and_what_it_shares_is_not_learnt_from(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train.jsonl", SUMS)
    write_jsonl(tmp_path / "test.jsonl", [*SUMS[:10], {"prompt": "What is 90 + 1?", "answer": 91}])
    train, test = (str(tmp_path / f"{name}.jsonl") for name in ("train", "test"))
    source = File(path=train, held_out_path=test, verifier="number", held_out=5)

    split = source.load(0)

    assert (len(split.train), len(split.held_out), split.dropped) == (90, 5, 10)
    assert {t.prompt for t in split.train} == {row["prompt"] for row in SUMS[10:]}


def test_an_answer_may_be_unknown(tmp_path: Path) -> None:
    """Learning needs none; only what has one is measured."""
    rows: list[dict[str, Any]] = [
        {"prompt": f"q{i}", "answer": i if i % 2 else None} for i in range(8)
    ]
    write_jsonl(tmp_path / "x.jsonl", rows)
    items = tuple(Item(prompt=row["prompt"], answer=row["answer"]) for row in rows)
    how: dict[str, Any] = {"verifier": "number", "held_out": 3, "per_cycle": 2}

    from_file = File(path=str(tmp_path / "x.jsonl"), **how).load(0)

    known = {t.prompt: t.answer for t in (*from_file.train, *from_file.held_out)}
    assert known == {f"q{i}": str(i) if i % 2 else None for i in range(8)}
    assert from_file == Inline(items=items, **how).load(0)


def test_open_questions_need_no_answers_and_no_verifier(tmp_path: Path) -> None:
    path = tmp_path / "open.jsonl"
    write_jsonl(path, [{"prompt": f"What of {i}?"} for i in range(6)])

    filed = File(path=str(path), answer_column=None, held_out=2, per_cycle=2).load(0)
    items = tuple(Item(prompt=f"What of {i}?") for i in range(6))
    inline = Inline(items=items, held_out=2, per_cycle=2).load(0)

    for split in (filed, inline):
        assert len(split.train) == 4
        assert {t.answer for t in (*split.train, *split.held_out)} == {None}
        assert not split.measurable
        assert split.train[0].correct(split.train[0].read("It is kind.")) is None
    with pytest.raises(MootError, match=r"open.jsonl:1: no column 'answer'.*or is null where no"):
        File(path=str(path), held_out=2, per_cycle=2).load(0)


@pytest.mark.parametrize(("kind", "none"), [("jsonl", None), ("parquet", float("nan"))])
def test_floats_are_whole_numbers_where_they_can_be_and_nan_is_unknown(
    tmp_path: Path, kind: str, none: float | None
) -> None:
    """In a column of pandas an integer is a float as soon as one is missing."""
    answers = [1.0, none, -3.0, 2.5, 1e20]
    rows = [{"prompt": f"q{i}", "answer": answer} for i, answer in enumerate(answers)]
    WRITERS[kind](tmp_path / f"x.{kind}", rows)

    split = File(path=str(tmp_path / f"x.{kind}"), verifier="exact", held_out=1, per_cycle=1).load(
        0
    )

    known = [t.answer for t in sorted((*split.train, *split.held_out), key=lambda t: t.prompt)]
    assert known == ["1", None, "-3", "2.5", "1" + 20 * "0"]


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfprompt,answer\r\na,1\r\nb,2\r\n")

    split = bad(tmp_path / "x.csv", held_out=1, per_cycle=1).load(0)

    assert {t.prompt for t in (*split.train, *split.held_out)} == {"a", "b"}
