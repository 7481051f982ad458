"""A step: what is told of it, whose gradient it has, and who is named where it is nonsense."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from told import FIT, learner, learnt, reply
from watched import EXAMPLES as SHOWN

from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import MootError
from moot.training.data.examples import Rollout
from moot.training.methods.cat import CaT
from moot.training.methods.sft import SFT
from moot.training.model.types import Rows, Scores
from moot.training.policy_gradient.objective import Objective

#  Replies of one token to four, in two groups with contrast.
SPOKEN = [
    replace(one, said=replace(one.said, tokens=(10, 11, 12, 13)[: n % 4 + 1], finish="length"))
    for n in range(8)
    for one in [reply(n, f"{n // 4}?", f"e{n // 4}")]
]


def step(
    model: Path, folder: Path, examples: list[Rollout], objective: Objective, **fit: Any
) -> dict[str, float]:
    """Return what is told of the only step."""
    settings = FIT.model_copy(update={"groups": 2, **fit})
    method = CaT(objective=objective)
    [(_, seen)] = learnt(learner(model), method, examples, model, folder, settings)
    return seen


@pytest.mark.parametrize("mean", ["sequence", "token"])
def test_a_steps_numbers_are_the_same_however_it_is_parted(
    mean: Any, tiny: Path, tmp_path: Path
) -> None:
    objective = Objective(mean=mean, kl=0.1)

    whole = step(tiny, tmp_path / "whole", SPOKEN, objective)
    parted = step(tiny, tmp_path / "parted", SPOKEN, objective, batch_tokens=40)

    assert whole["grad_norm"] > 0.01
    assert parted == pytest.approx(whole, rel=1e-3, abs=1e-6)


def test_a_steps_tokens_are_those_of_every_prompt_and_reply(tiny: Path, tmp_path: Path) -> None:
    seen = step(tiny, tmp_path, SPOKEN, Objective())

    encode = Tokens(tiny)
    every = [len(encode.prompt(one.said.prompt)) + len(one.said.tokens) for one in SPOKEN]
    assert (seen["completions"], seen["tokens"]) == (8, sum(every))


def test_an_entropy_bonus_makes_a_policy_less_sure_where_nothing_else_is_earned(
    tiny: Path, tmp_path: Path
) -> None:
    alike = [replace(one, reward=1.0) for one in SPOKEN]
    method = CaT(objective=Objective(kl=0, entropy=0.1))

    fit = FIT.model_copy(update={"groups": 2, "epochs": 4})
    steps = learnt(learner(tiny), method, alike, tiny, tmp_path, fit)

    nats = [seen["entropy"] for _, seen in steps]
    assert nats[-1] > nats[0]
    assert steps[0][1]["loss"] == pytest.approx(-0.1 * nats[0])


def test_of_losses_that_are_nonsense_their_examples_are_named(tiny: Path, tmp_path: Path) -> None:
    bad = replace(SPOKEN[2], said=replace(SPOKEN[2].said, temperature=1e-45))

    with pytest.raises(MootError, match=r"a loss that isn't finite \(\S+\) of e0 turn 2; "):
        step(tiny, tmp_path, [*SPOKEN[:2], bad, *SPOKEN[3:]], Objective(kl=0))


def test_a_gradient_that_is_nonsense_is_refused_though_no_loss_is(
    tiny: Path, tmp_path: Path
) -> None:
    class Steep(SFT):
        """One whose loss has no slope where it is."""

        def loss(self, policy: Scores, rows: Rows, examples: Any) -> Any:
            found, seen = super().loss(policy, rows, examples)
            return found + (found - found.detach()).sqrt(), seen

    with pytest.raises(MootError, match=r"the gradient that isn't finite \(nan\) in b turn 0, "):
        learnt(learner(tiny), Steep(), SHOWN[:2], tiny, tmp_path, FIT)
