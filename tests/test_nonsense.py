"""Numbers that aren't finite: what is said of them, and of whose they are."""

import pytest
import torch
from told import rollout

from moot.agents.errors import MootError
from moot.training.nonsense import named, refuse_gradient, refuse_losses

SOME = [rollout(i, 1.0, (20,)) for i in range(5)]


def test_three_examples_are_named_and_the_rest_is_counted() -> None:
    assert named(SOME[:3]) == "e turn 0, e turn 1, e turn 2"
    assert named(SOME) == "e turn 0, e turn 1, e turn 2 and 2 more"


def test_of_losses_the_first_that_is_nonsense_is_told_and_all_are_named() -> None:
    losses = torch.tensor([1.0, float("inf"), 2.0, float("nan"), 3.0])

    with pytest.raises(MootError, match=r"isn't finite \(inf\) of e turn 1, e turn 3; "):
        refuse_losses(losses, SOME)
    refuse_losses(losses[::2], SOME[::2])


@pytest.mark.parametrize("norm", [float("inf"), float("nan")])
def test_a_gradient_without_bounds_is_refused(norm: float) -> None:
    with pytest.raises(
        MootError, match=rf"the gradient that isn't finite \({norm}\) in e turn 0, "
    ):
        refuse_gradient(norm, SOME)
    refuse_gradient(1e30, SOME)
