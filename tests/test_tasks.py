import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter, ValidationError

from moot.agents.errors import MootError
from moot.agents.types import Task
from moot.experiments.tasks import TaskSource
from moot.experiments.tasks.split import divide, task
from moot.experiments.tasks.table import File, Inline, Item
from moot.protocols.verifiers import VERIFIERS

CONFIGS = Path(__file__).parent.parent / "experiments" / "configs"
SUMS: list[dict[str, Any]] = [
    {"prompt": f"What is {a} + {b}?", "answer": str(a + b)} for a in range(10) for b in range(10)
]


def as_task(row: dict[str, Any]) -> Task:
    return task(row["prompt"], row["answer"], VERIFIERS["number"], "{prompt}")


def write_jsonl(path: Path, found: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(json.dumps(row) for row in found))


def write_csv(path: Path, found: list[dict[str, Any]]) -> None:
    lines = [[*found[0]], *([f'"{cell}"' for cell in row.values()] for row in found)]
    path.write_text("\n".join(",".join(line) for line in lines))


def write_parquet(path: Path, found: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(found), path)


Write = Callable[[Path, list[dict[str, Any]]], None]
WRITERS: dict[str, Write] = {"jsonl": write_jsonl, "csv": write_csv, "parquet": write_parquet}


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


def bad(path: Path, **fields: Any) -> File:
    return File(path=str(path), verifier="number", **fields)


@pytest.mark.parametrize(
    ("name", "written", "error"),
    [
        ("x.jsonl", b"", "x.jsonl: holds no rows"),
        ("x.jsonl", b"\n\n", "x.jsonl: holds no rows"),
        ("x.jsonl", b'{"prompt": "a", "answer": 1}\n{"prompt": ', "x.jsonl:2: not JSON: "),
        ("x.jsonl", b"[1]", "x.jsonl:1: expected an object, found [1]"),
        ("x.jsonl", b'\n{"prompt": "a"}', "x.jsonl:2: no column 'answer'; there are: prompt"),
        ("x.jsonl", b'{"prompt": "a", "anwser": 1}', "anwser; did you mean 'anwser'?"),
        ("x.jsonl", b"{}", "x.jsonl:1: no column 'prompt'; there are: none"),
        (
            "x.jsonl",
            b'{"prompt": null, "answer": 1}',
            "1: prompt: is empty",
        ),
        (
            "x.jsonl",
            b'{"prompt": "a", "answer": [1]}',
            "answer: expected text or a number, found [1]",
        ),
        (
            "x.jsonl",
            b'{"prompt": "a", "answer": true}',
            "answer: expected text or a number, found T",
        ),
        ("x.jsonl", b'{"prompt": " ", "answer": 1}', "x.jsonl:1: prompt: is empty"),
        (
            "x.jsonl",
            b'{"prompt": "a", "answer": "no"}',
            "1: the answer 'no' can't be read by verifier",
        ),
        ("x.jsonl", b'{"prompt": "a", "answer": 1}\n\xff', "x.jsonl:2: not UTF-8 (byte 0xff)"),
        ("x.jsonl", b'{"prompt": "a", "answer": NaN}', "x.jsonl:1: not JSON: "),
        (
            "x.jsonl",
            b'{"prompt": "a\\ud83d", "answer": 1}',
            "x.jsonl:1: prompt: '\\ud83d' is half a surrogate pair",
        ),
        ("x.csv", b"", "x.csv: holds no rows"),
        ("x.csv", b"prompt,answer\n", "x.csv: holds no rows"),
        (
            "x.csv",
            b'prompt,answer\n"a\nb",1\nc\n',
            "x.csv:4: 1 cells for 2 columns (prompt, answer)",
        ),
        ("x.csv", b"prompt,answer\na,1,2\n", "x.csv:2: 3 cells for 2 columns"),
        ("x.csv", b'prompt,answer\n"a,1\n', "x.csv:2: unexpected end of data"),
        ("x.csv", b"prompt,prompt\na,1\n", "x.csv:1: two columns are called 'prompt'"),
        (
            "x.csv",
            b"question,answer\na,1\n",
            "x.csv:2: no column 'prompt'; there are: question, an",
        ),
        ("x.csv", b"prompt,answer\n,1\n", "x.csv:2: prompt: is empty"),
        ("x.csv", b"prompt,answer\n\xe9,1\n", "x.csv:2: not UTF-8 (byte 0xe9)"),
        ("x.parquet", b"", "x.parquet: not Parquet: "),
        ("x.parquet", b"PAR1 or so, but not really", "x.parquet: not Parquet: "),
        ("x.txt", b"a", "x.txt: expected a file that ends in .jsonl, .csv, .parquet"),
        ("y.jsonl", b"a", "x.jsonl: no such file; did you mean 'y.jsonl'?"),
    ],
)
def test_a_malformed_file_says_where_and_what(
    tmp_path: Path, name: str, written: bytes, error: str
) -> None:
    (tmp_path / name).write_bytes(written)
    asked = "x.jsonl" if name == "y.jsonl" else name

    with pytest.raises(MootError) as raised:
        bad(tmp_path / asked).load(0)

    assert error in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_parquet_row_is_named(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", [{"prompt": "a", "answer": 1}, {"prompt": None}])

    with pytest.raises(MootError, match=r"x\.parquet: row 2: prompt: is empty"):
        bad(tmp_path / "x.parquet").load(0)


def test_a_directory_and_a_missing_folder_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").mkdir()

    with pytest.raises(MootError, match="is a directory; expected a file"):
        bad(tmp_path / "x.jsonl").load(0)
    with pytest.raises(MootError, match="no such file"):
        bad(tmp_path / "nowhere/x.jsonl").load(0)
    with pytest.raises(MootError, match="no such file"):
        bad(CONFIGS / "sums.jsonl", held_out_path="gone.jsonl").load(0)


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


def test_no_question_and_no_answer_is_infinite(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", [{"prompt": "a", "answer": float("inf")}])
    (tmp_path / "x.jsonl").write_text('{"prompt": "a", "answer": -1e400}')

    with pytest.raises(MootError, match="answer: expected text or a number, found inf"):
        bad(tmp_path / "x.parquet").load(0)
    with pytest.raises(MootError, match="answer: expected text or a number, found -inf"):
        bad(tmp_path / "x.jsonl").load(0)


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"\xef\xbb\xbfprompt,answer\r\na,1\r\nb,2\r\n")

    split = bad(tmp_path / "x.csv", held_out=1, per_cycle=1).load(0)

    assert {t.prompt for t in (*split.train, *split.held_out)} == {"a", "b"}


def test_too_few_questions_are_told_before_anything_runs() -> None:
    items = tuple(Item(prompt=f"{i % 4}?", answer=i % 4) for i in range(6))

    with pytest.raises(MootError) as raised:
        Inline(items=items, verifier="number", held_out=3, per_cycle=2).load(0)

    assert str(raised.value) == (
        "4 different questions (2 left out as repeated) are too few for held_out: 3 and "
        "per_cycle: 2; 3 can be held out, which leaves 1"
    )


def test_an_item_that_can_not_be_checked_is_named() -> None:
    items = (Item(prompt="1?", answer=1), Item(prompt="2?", answer="two"))

    with pytest.raises(
        MootError, match=r"items\.1: the answer 'two' can't be read by verifier num"
    ):
        Inline(items=items, verifier="number", held_out=1, per_cycle=1).load(0)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ({"kind": "files"}, "does not match any of the expected tags"),
        ({"kind": "file", "path": "x.jsonl"}, "verifier"),
        ({"kind": "file", "path": "x.jsonl", "verifier": "maths"}, "verifier"),
        ({"kind": "inline", "verifier": "exact", "items": []}, "items"),
        ({"kind": "reasoning_gym", "dataset": "x", "template": "no field"}, "template"),
        ({"kind": "reasoning_gym", "dataset": "x", "held_out": 0}, "held_out"),
        ({"kind": "reasoning_gym", "dataset": "x", "per_cycle": 0}, "per_cycle"),
    ],
)
def test_a_wrong_source_is_refused(source: dict[str, Any], error: str) -> None:
    with pytest.raises(ValidationError, match=error):
        TypeAdapter[Any](TaskSource).validate_python(source)
