"""Examples in files: what is read is what was written, a row group at a time."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moot.agents.types import Message
from moot.training.data import filed
from moot.training.data.examples import EVERYONE, Example, Known, Pair, Rollout, Said, Shown
from moot.training.data.filed import Filed, write
from moot.training.settings import Fit

KNOWN = Known(
    logp=(-0.5, -1e-30),
    anchor=(-float("inf"), 0.1),
    entropy=0.25,
    certainty=2.0,
    probe=-3.5,
    anchor_probe=-4.5,
    value=(1.0, 2.0),
)
SAID = Said(
    prompt=(Message("system", "é\n"), Message("user", "?")),
    text="a\0b",
    tokens=(5, 6),
    prompt_tokens=(1, 2, 3),
    logprobs=(-0.25, -0.125),
    finish="length",
    temperature=0.7,
    most=2,
    length=2,
    engine="main",
    known=KNOWN,
)
BARE = Said((), "")
FULL: list[Example] = [
    Rollout(
        episode="e/0",
        turn=1,
        round=2,
        agent="a",
        weights="w",
        version=3,
        said=SAID,
        reward=0.1,
        advantage=-0.3,
        teaches=False,
        judges=(4, 5),
        answer="4",
        beside=BARE,
        drift=0.5,
        gains=(0.5, -0.5),
        returns=(1.5, 2.5),
        earned=(0.5, None),
        target=-1.0,
        weight=0.5,
    ),
    Pair("e", (1, 2), ("a", "b"), ("w", "v"), SAID, BARE, 0.75, 2.0, (3,), False),
    Shown("e", 1, "a", EVERYONE, SAID, "revision", False),
]
PLAIN: list[Example] = [
    Rollout("e", 0, 0, "a", None, 0, BARE, None),
    Pair("e", (0, 1), ("", ""), (), BARE, BARE),
    Shown("e", None, "", (), BARE, ""),
]


@pytest.mark.parametrize(("full", "plain"), list(zip(FULL, PLAIN, strict=True)))
def test_what_is_read_is_what_was_written(full: Example, plain: Example, tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", [full, plain])

    found = Filed(tmp_path / "x.parquet")

    assert list(found) == [full, plain]
    assert (found[0], found[-1], found[:1]) == (full, plain, [full])
    assert (found.kind, found.episodes, found.teaches) == (type(full), [full.episode, "e"], [0, 1])


@pytest.mark.parametrize("record", [KNOWN, SAID, *FULL])
def test_no_field_is_left_at_what_it_is_by_default(record: Any) -> None:
    """The test above would else not see that a field is lost."""
    for field in fields(record):
        assert getattr(record, field.name) != field.default, field.name


def test_the_columns_are_typed(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", FULL[:1])

    columns = {c.name: str(c.type) for c in pq.read_schema(tmp_path / "x.parquet")}

    assert columns["reward"] == "double"
    assert columns["judges"] == "list<element: int64>"
    assert "prompt: list<element: struct<role: string, content: string>>" in columns["said"]


def test_examples_come_from_their_row_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moot.training.schedule import schedule

    monkeypatch.setattr(filed, "GROUP", 3)
    pairs: list[Example] = [
        Pair(f"e{i // 2}", (0, i), ("", ""), (), BARE, BARE, teaches=i != 4) for i in range(8)
    ]
    write(tmp_path / "x.parquet", iter(pairs))

    found = Filed(tmp_path / "x.parquet")

    assert pq.ParquetFile(tmp_path / "x.parquet").num_row_groups == 3
    assert [found[i] for i in (7, 0, 3, 2)] == [pairs[i] for i in (7, 0, 3, 2)]
    with pytest.raises(IndexError):
        found[8]
    fit = Fit(groups=2)
    steps = [list(step) for step in schedule(found, fit, seed=1)]
    assert steps == [list(step) for step in schedule(pairs, fit, seed=1)]


def test_one_example_is_decoded_with_few_others_of_which_no_statistics_are_kept(
    tmp_path: Path,
) -> None:
    long, path = Said((), "x" * 10_000), tmp_path / "x.parquet"
    write(path, (Pair(f"e{i}", (0, 1), ("", ""), (), long, long) for i in range(1000)))
    found, before = Filed(path), pa.total_allocated_bytes()

    assert found[700].episode == "e700"

    assert pa.total_allocated_bytes() - before < 100 * 2 * 10_000
    assert not pq.read_metadata(path).row_group(0).column(0).is_stats_set


def test_a_file_of_nothing_can_be_read(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", [])

    assert list(Filed(tmp_path / "x.parquet")) == []
