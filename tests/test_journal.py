"""The journal remembers what was said, once, under all that decided it."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from moot.agents.errors import MootError
from moot.agents.types import Completion, Message, Request, Sampling
from moot.protocols.journal import Journal, Metric, digest

ASKED = Request((Message("user", "What is 2 + 2?"),), Sampling(temperature=0.5), seed=2**62)
SAID = Completion("4 é \u2028", "stop", 0, 7, 2, 0.125, (3, 4), (-0.5, -1e-30), (1, 2))
KEY = digest(ASKED)


def test_what_was_recorded_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        asyncio.run(journal.record("e", 0, KEY, SAID))

    with Journal(tmp_path / "j.sqlite") as journal:
        assert journal.recall("e", 0, KEY) == SAID
        assert journal.recall("e", 1, KEY) is None
        assert journal.recall("f", 0, KEY) is None


def test_what_arrives_together_is_one_transaction_and_durable_when_it_returns(
    tmp_path: Path,
) -> None:
    path = tmp_path / "j.sqlite"

    async def together() -> tuple[int, int]:
        with closing(sqlite3.connect(path)) as other:
            before = other.execute("pragma data_version").fetchone()[0]
            await asyncio.gather(*(journal.record("e", i, KEY, SAID) for i in range(20)))
            seen = other.execute("select count(*) from said").fetchone()[0]
            #  Another connection sees the version of the data change once a commit, at least.
            return seen, other.execute("pragma data_version").fetchone()[0] - before

    with Journal(path) as journal:
        assert asyncio.run(together()) == (20, 1)


def test_who_stops_waiting_takes_nobody_along(tmp_path: Path) -> None:
    async def cut() -> None:
        first, second = (asyncio.create_task(journal.record("e", i, KEY, SAID)) for i in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await second

    with Journal(tmp_path / "j.sqlite") as journal:
        asyncio.run(cut())
        assert journal.recall("e", 1, KEY) == SAID


def test_a_journal_that_cannot_be_written_tells_all_who_wait(tmp_path: Path) -> None:
    async def refused() -> list[object]:
        records = (journal.record("e", i, KEY, SAID) for i in range(2))
        return await asyncio.gather(*records, return_exceptions=True)

    with Journal(tmp_path / "j.sqlite") as journal:
        with closing(sqlite3.connect(tmp_path / "j.sqlite")) as other:
            other.execute("drop table said")
        found = asyncio.run(refused())

    assert [type(one) for one in found] == [MootError, MootError]
    assert "the journal can't be written: " in str(found[0])


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, seed=1),
        replace(ASKED, version=1),
        replace(ASKED, weights="p"),
        replace(ASKED, sampling=Sampling(temperature=0.6)),
        replace(ASKED, prompt=(Message("system", "What is 2 + 2?"),)),
    ],
)
def test_whatever_decides_a_completion_is_part_of_its_key(other: Request) -> None:
    assert digest(other) != digest(ASKED)


def test_recording_again_changes_nothing(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        asyncio.run(journal.record("e", 0, KEY, SAID))
        asyncio.run(journal.record("e", 0, KEY, replace(SAID, text="other")))

        assert journal.recall("e", 0, KEY) == SAID


def test_a_metric_measured_again_is_replaced(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        journal.measure([Metric(0, "b", 1.0), Metric(0, "a", 1.0, step=3)])
        journal.measure([Metric(0, "b", 2.0, 1.5, 2.5)])

        assert journal.metrics() == [Metric(0, "a", 1.0, step=3), Metric(0, "b", 2.0, 1.5, 2.5)]


def test_a_phase_is_done_once_marked(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite") as journal:
        assert not journal.finished("talk")
        journal.finish("talk")
        assert journal.finished("talk")


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "j.sqlite").write_text("not a database, but long enough to look like one" * 99)

    with pytest.raises(MootError, match=r"j\.sqlite: can't be used as a journal"):
        Journal(tmp_path / "j.sqlite")
