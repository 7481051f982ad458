"""What becomes known of judges from rulings that are written out."""

from dataclasses import replace
from random import Random

import pytest

from moot.agents.population import Agent, Population, Trust
from moot.experiments.analysis.judges import judged, known
from moot.experiments.analysis.rulings import Reply, Ruling

FIRST, SECOND = Reply(0, "a", True, 5), Reply(1, "b", False, 5)


def test_who_repeats_itself_on_tasks_that_come_back_shows_no_skill_by_agreeing() -> None:
    def told(cycles: int) -> dict[str, float]:
        rng = Random(1)
        found = {(judge, i): rng.random() for judge in "jkl" for i in range(12)}
        some = [
            Ruling(f"cycle-00{cycle}/t{i}", judge, "preference", None, *ends, score)
            for cycle in range(cycles)
            for (judge, i), p in found.items()
            for ends, score in (((FIRST, SECOND), p), ((SECOND, FIRST), 1 - p))
        ]
        measured = judged(some, 0, seed=0, trust="agreement")
        return {m.name: m.value for m in measured if "trust" in m.name}

    assert set(told(cycles=9).values()) == {1.0}  # of 12 tasks, too few to tell
    assert told(cycles=9) == told(cycles=1)


def test_a_task_that_comes_back_in_later_cycles_is_one_task() -> None:
    def told(tasks: int, cycles: int) -> set[str]:
        some = [
            Ruling(f"cycle-00{cycle}/t{i}", "j", "preference", None, *ends, score)
            for cycle in range(cycles)
            for i in range(tasks)
            for ends, score in (((FIRST, SECOND), 0.9), ((SECOND, FIRST), 0.2))
        ]
        return {metric.name for metric in judged(some, cycles - 1, seed=0)}

    assert "judges/auc@j" not in told(tasks=7, cycles=4)
    assert {"judges/auc@j", "judges/consistency@j", "talk/rating@a"} <= told(tasks=8, cycles=1)
    assert not {"judges/consistency@j", "talk/rating@a"} & told(tasks=7, cycles=4)


def test_claims_of_one_episode_tell_no_more_for_being_many() -> None:
    """Agreement is drawn by task: what is found twice of the same replies is found once."""
    rng = Random(3)
    once = [
        Ruling(f"e{e}", judge, "grade", None, reply, None, found)
        for e in range(24)
        for good in [rng.choice([0.1, 0.9])]
        for judge in ("j", "k")
        for mark in [good if rng.random() < 0.8 else 1 - good]
        for reply, found in ((FIRST, mark), (SECOND, 0.5))
    ]
    thrice = [
        replace(one, of=replace(one.of, turn=2 * i + one.of.turn)) for one in once for i in range(3)
    ]

    (one, low, high), (three, lower, higher) = (
        (m.value, m.low or 0, m.high or 0)
        for some in (once, thrice)
        for m in judged(some, 0, seed=0)
        if m.name == "judges/agreement"
    )

    assert one == pytest.approx(three, abs=0.02)
    assert higher - lower == pytest.approx(high - low, rel=0.1)


def marked(judge: str, level: float, gap: float, rng: Random) -> list[Ruling]:
    """A judge's marks of a right and a wrong reply to each of 40 questions, of unlike levels."""
    found: list[Ruling] = []
    for e in range(40):
        height = level + 0.3 * rng.random()
        for reply, mark in ((FIRST, height + gap), (SECOND, height)):
            found.append(Ruling(f"e{e}", judge, "grade", None, reply, None, mark))
    return found


def test_a_judge_is_known_by_how_it_ranks_and_not_by_how_high_it_marks() -> None:
    rng = Random(5)
    ranks = [("lenient", 0.6, 0.05), ("strict", 0.05, 0.05), ("blind", 0.3, 0.0)]
    rulings = [one for judge in ranks for one in marked(*judge, rng)]

    def told(some: list[Ruling], trust: Trust) -> dict[str, float]:
        found = {metric.name: metric.value for metric in judged(some, 0, 0, trust)}
        return {name: found[f"judges/trust@{name}"] for name, *_ in ranks}

    assert told(rulings, "labels") == {"lenient": 1, "strict": 1, "blind": 0}
    assert told(rulings, "equal") == {"lenient": 1, "strict": 1, "blind": 1}
    turned = [replace(r, of=replace(r.of, correct=not r.of.correct)) for r in rulings]
    assert told(turned, "labels") == {"lenient": 0, "strict": 0, "blind": 0}
    assert told(turned, "agreement") == told(rulings, "agreement")


def test_a_judge_of_which_little_is_known_weighs_as_those_do_that_are_known() -> None:
    rng = Random(2)
    ablest = marked("ablest", 0.3, 0.1, rng)
    rulings = [
        *ablest,
        *(replace(r, judge="able", score=0.5) for r in ablest if int(r.episode[1:]) >= 24),
        *(replace(r, judge="able") for r in ablest if int(r.episode[1:]) < 24),
        *(replace(r, judge="new") for r in ablest if int(r.episode[1:]) < 3),
    ]

    found = {metric.name: metric.value for metric in judged(rulings, 0, 0)}

    assert found["judges/trust@ablest"] == 1
    assert found["judges/trust@able"] == pytest.approx(0.6)
    assert found["judges/trust@new"] == pytest.approx(0.8)
    names = ("ablest", "able", "unheard")
    people = Population(tuple(Agent(name, "judge", "main") for name in names))
    trust = [agent.trust for agent in known(people, judged(rulings, 0, 0), 0).agents]
    assert trust == pytest.approx([1, 0.6, 0.8])


def test_judges_who_always_agree_may_not_of_other_episodes() -> None:
    same = [
        Ruling(f"e{e}", judge, "grade", None, reply, None, float(good))
        for e in range(8)
        for judge in ("j", "k")
        for reply, good in ((FIRST, e % 2), (SECOND, 1 - e % 2))
    ]

    def told(episodes: int) -> list[tuple[float, float | None, float | None]]:
        some = [r for r in same if int(r.episode[1:]) < episodes]
        found = judged(some, 0, seed=0)
        return [(m.value, m.low, m.high) for m in found if m.name == "judges/agreement"]

    assert told(7) == []
    [(value, low, high)] = told(8)
    assert (value, high) == (1, 1)
    assert low == pytest.approx(2 * 0.025 ** (1 / 8) - 1)
