"""Files and lists of tasks that are wrong, and what is said of each."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from task_files import CONFIGS, bad, write_parquet

from moot.agents.errors import MootError
from moot.experiments.tasks import TaskSource
from moot.experiments.tasks.table import Inline, Item


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


def test_no_question_and_no_answer_is_infinite(tmp_path: Path) -> None:
    write_parquet(tmp_path / "x.parquet", [{"prompt": "a", "answer": float("inf")}])
    (tmp_path / "x.jsonl").write_text('{"prompt": "a", "answer": -1e400}')

    with pytest.raises(MootError, match="answer: expected text or a number, found inf"):
        bad(tmp_path / "x.parquet").load(0)
    with pytest.raises(MootError, match="answer: expected text or a number, found -inf"):
        bad(tmp_path / "x.jsonl").load(0)


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
