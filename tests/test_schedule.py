"""What is in a step, and in a part of one."""

from dataclasses import replace
from pathlib import Path

from fitting import EXAMPLES, FIT, rollout

from moot.agents.embedded.tokens import Tokens
from moot.training.data.examples import Rollout
from moot.training.model.rows import microbatches
from moot.training.schedule import schedule


def test_parts_hold_their_distinct_tokens_within_bounds_and_keep_the_order(tiny: Path) -> None:
    tokens = Tokens(tiny)
    # The first example has a token, the second two, the third three; their prompts are two, which
    # differ in the digit before the end.
    one, other = (tokens.prompt(e.said.prompt) for e in EXAMPLES[:2])
    shared = next(i for i, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
    distinct = 2 * len(one) - shared + 1 + 2 + 3

    def sizes(examples: list[Rollout], most: int) -> list[int]:
        return [len(part) for part in microbatches(examples, tokens, most)]

    assert sizes(EXAMPLES[:3], distinct) == [3]
    assert sizes(EXAMPLES[:3], distinct - 1) == [2, 1]
    assert sizes(EXAMPLES[:3], distinct - 3) == [2, 1]
    assert sizes(EXAMPLES[:3], distinct - 4) == [1, 1, 1]
    assert sizes(EXAMPLES, 1) == [1] * len(EXAMPLES)
    assert sizes([], 10) == []


def test_a_step_holds_whole_groups_and_leaves_out_what_teaches_nothing() -> None:
    flat = [replace(rollout(9, i, 0.0), teaches=False) for i in range(4)]

    steps = schedule([*EXAMPLES, *flat], FIT.model_copy(update={"groups": 4}), seed=0)

    assert [len(step) for step in steps] == [16, 8]
    assert sorted(e.episode for step in steps for e in step) == sorted(e.episode for e in EXAMPLES)
    assert schedule(flat, FIT, seed=0) == []
    assert schedule(EXAMPLES, FIT, seed=0) == schedule(EXAMPLES, FIT, seed=0)
    assert schedule(EXAMPLES, FIT, seed=0) != schedule(EXAMPLES, FIT, seed=1)


def test_every_epoch_goes_through_all_in_an_order_of_its_own_however_they_come() -> None:
    settings = FIT.model_copy(update={"groups": 1, "epochs": 3})

    def episodes(examples: list[Rollout]) -> list[str]:
        return [step[0].episode for step in schedule(examples, settings, seed=0)]

    found = episodes(EXAMPLES)

    epochs = [found[i : i + 6] for i in (0, 6, 12)]
    assert [sorted(epoch) for epoch in epochs] == [sorted({e.episode for e in EXAMPLES})] * 3
    assert epochs[0] != epochs[1] != epochs[2]
    assert episodes(EXAMPLES[::-1]) == found
