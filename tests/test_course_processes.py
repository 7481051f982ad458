"""A course on several processes: the same workers do all that is learnt on one model in a cycle."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

from test_course import experiment
from told import pair, rollout, words
from workers import gone, working

from moot.experiments.cycle.course import JUDGE, Lessons
from moot.experiments.cycle.learn import learn
from moot.training.job import BEFORE


def test_the_same_workers_do_all_of_a_course_and_when_cut_off_only_the_rest(
    tiny: Path, tmp_path: Path
) -> None:
    group = {"count": 2, "adapters": "each", "learns": True, "learns_from": "group"}
    people = {"name": "p", "engine": "main", **group}
    found = experiment({"main": tiny}, {"kind": "rlhf", "file": "likes.jsonl"}, people, processes=2)
    told = [
        replace(rollout(i, None, (), episode=text, weights=f"p-{i}"), said=words(text * (i + 1)))
        for text in ("x", "yy", "z z")
        for i in range(2)
    ]
    lessons = Lessons(told, [pair(f"e{i}", words("yes"), words("no")) for i in range(2)])
    seen: list[tuple[str, int]] = []
    crews: set[frozenset[int]] = set()

    def taken() -> Generator[tuple[str, int]]:
        steps = learn(found, lessons, {}, cycle=0, folder=tmp_path)
        return ((name, step) for name, step, _ in steps if step != BEFORE)

    steps = taken()
    for one in steps:
        seen.append(one)
        crews.add(frozenset(working(tmp_path)))
        if one == ("p-1", 1):
            break
    steps.close()  # killed
    assert gone(tmp_path)
    rest = [*taken()]

    assert seen == [
        *((JUDGE, 0), (JUDGE, 1)),
        *(("p-0", 0), ("p-0", 1), ("p-0", 2)),
        *(("p-1", 0), ("p-1", 1)),  # of the last no checkpoint was written yet
    ]
    [crew] = crews
    assert len(crew) == 2
    assert rest == [("p-1", 1), ("p-1", 2)]
    assert {path.name for path in tmp_path.iterdir()} == {"examples.parquet", JUDGE, "weights"}
    assert sorted(path.name for path in (tmp_path / "weights").iterdir()) == ["p-0", "p-1"]
