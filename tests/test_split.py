"""Which tasks are learnt from, which are held out, and which a cycle takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.agents.errors import MootError
from moot.agents.task import Task
from moot.experiments.tasks.split import Split, content, divide, for_cycle, task
from moot.protocols.verifiers import VERIFIERS


def questions(n: int, start: int = 0) -> list[Task]:
    return [task(f"What is {i}?", str(i), VERIFIERS["number"], "{prompt}") for i in range(start, n)]


@given(
    texts=st.lists(st.text("aAbß ﬁ\n", min_size=1), min_size=2, max_size=30),
    held_out=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
def test_no_content_is_on_both_sides(texts: list[str], held_out: int, seed: int) -> None:
    tasks = [task(text, "1", VERIFIERS["number"], "Q: {prompt}") for text in texts]
    different = {content(text) for text in texts}
    try:
        split = divide(tasks, held_out, 1, seed)
    except MootError:
        assert len(different) < held_out + 1
        return

    assert not {content(t.prompt) for t in split.train} & {
        content(t.prompt) for t in split.held_out
    }
    assert len(split.train) + len(split.held_out) == len(different)
    assert split.dropped == len(texts) - len(different)


def test_a_split_with_content_on_both_sides_can_not_be_made() -> None:
    one, other = (
        task("A  b", "1", VERIFIERS["exact"], "{prompt}"),
        Task("other", "a B", "1", VERIFIERS["exact"]),
    )

    with pytest.raises(MootError, match="'a B' is both learnt from and held out"):
        Split((one,), (other,))
    with pytest.raises(MootError, match="two tasks have the same id"):
        Split((one, Task(one.id, "c", "1", one.verifier)), ())


def test_a_question_with_two_answers_is_refused_and_one_that_is_repeated_is_not() -> None:
    def asked(text: str, answer: str | None) -> Task:
        return task(text, answer, VERIFIERS["number"], "{prompt}")

    alike = [asked("A  b", "1000"), asked("a b", "1,000"), asked("a b", None)]
    assert divide([*alike, *questions(3)], 1, 1, seed=0).dropped == 2

    unlike = [*alike, asked("a b", "2")]
    for tasks, apart in ((unlike, None), (questions(3), unlike)):
        with pytest.raises(MootError, match=r"'a b' is there, as 'A  b', with the answer '1000' a"):
            divide(tasks, 1, 1, 0, apart)


def test_another_row_moves_at_most_one_task() -> None:
    before = divide(questions(50), 10, 5, seed=3)
    after = divide([*questions(51, 50), *questions(50)], 10, 5, seed=3)

    assert len({t.id for t in before.held_out} - {t.id for t in after.held_out}) <= 1
    assert divide(reversed(questions(50)), 10, 5, seed=3).held_out == before.held_out
    assert divide(questions(50), 10, 5, seed=4).held_out != before.held_out


@given(n=st.integers(1, 30), data=st.data(), seed=st.integers(0, 100))
def test_cycles_walk_through_all_tasks_without_repetition(
    n: int, data: st.DataObject, seed: int
) -> None:
    per_cycle = data.draw(st.integers(1, n))
    train = questions(n)
    whole = n // per_cycle

    cycles = [for_cycle(train, per_cycle, cycle, seed) for cycle in range(2 * whole)]

    assert all(len({t.id for t in tasks}) == per_cycle for tasks in cycles)
    for epoch in (cycles[:whole], cycles[whole:]):
        assert len({t.id for tasks in epoch for t in tasks}) == whole * per_cycle
    assert cycles == [for_cycle(train, per_cycle, cycle, seed) for cycle in range(2 * whole)]


def test_every_task_has_its_turn_in_time() -> None:
    seen = {t.id for cycle in range(60) for t in for_cycle(questions(10), 4, cycle, 0)}

    assert len(seen) == 10
