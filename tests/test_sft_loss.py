"""Imitation's loss: by hand, and on a small model."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from told import FIT, learner, learnt, shown, words

from moot.agents.embedded.tokens import Tokens
from moot.training.methods.sft import SFT
from moot.training.model.rows import columns, rows
from moot.training.model.types import Scores

LOGP = torch.tensor([[-1.0, -2.0, -3.0], [-4.0, 99.0, 99.0], [99.0, 99.0, 99.0]])


@pytest.mark.parametrize(
    ("mean", "weigh", "sizes", "losses"),
    [
        #  Three tokens of 6 nats, one of 4, and a reply without a token.
        ("token", None, [3, 1, 0], [6, 4, 0]),
        ("sequence", None, [1, 1, 0], [2, 4, 0]),
        ("token", {"generator": 0.5, "critic": 2.0}, [1.5, 2, 0], [3, 8, 0]),
        ("sequence", {"generator": 0.5, "critic": 2.0}, [0.5, 2, 0], [1, 8, 0]),
    ],
)
def test_losses_and_sizes_by_hand(
    mean: Any, weigh: dict[str, float] | None, sizes: list[float], losses: list[float]
) -> None:
    method = SFT(on="demonstrations", mean=mean, weigh=weigh)
    examples = [shown("generator", (1, 2, 3)), shown("critic", (4,)), shown("generator", ())]
    batch = rows(columns(examples))

    found, metrics = method.loss(Scores(LOGP, LOGP, LOGP), batch, examples)

    assert method.sizes(examples, batch).tolist() == sizes
    assert found.tolist() == losses
    assert metrics["logp"].tolist() == [-2, -4, 0]


def test_what_is_shown_gets_likelier_with_the_end_of_its_turn(tiny: Path, tmp_path: Path) -> None:
    pupil, encode = learner(tiny), Tokens(tiny)
    whole = replace(shown("reference", ()), said=words("four"))
    cut = replace(whole, episode="f", said=replace(words("four"), finish="length"))
    batch = rows(columns([whole, cut]), encode)
    #  Four letters, and the end only where it was said.
    assert batch.mask.sum(-1).tolist() == [5, 4]

    before = pupil.policy(batch).logp.sum(-1)
    settings = FIT.model_copy(update={"epochs": 3})
    steps = learnt(pupil, SFT(), [whole, cut], tiny, tmp_path, settings)

    assert (pupil.policy(batch).logp.sum(-1) > before).all()
    assert steps[2][1]["loss"] < steps[0][1]["loss"]
    assert steps[0][1]["loss"] == pytest.approx(-before.sum().item() / 9, rel=1e-5)
