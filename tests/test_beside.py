"""Models with no form in which rows share their beginnings: these go through them side by side."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from command import rows as table
from conftest import BuildTiny
from method_runs import played
from row_alone import (
    BATCH,
    BESIDE,
    PROBE,
    alone,
    folders,
    gradients,
    loaded,
    said,
    same,
    split,
    summed,
    taught,
)
from told import FIT, learner, rollout, studied, work
from torch import Tensor

from moot.agents.embedded.tokens import Tokens
from moot.training.job import BEFORE
from moot.training.methods.cat import CaT
from moot.training.model.architecture import base
from moot.training.model.forward import form, score
from moot.training.model.rows import microbatches, rows
from moot.training.model.stretches import SHORTEST
from moot.training.model.types import Form
from moot.training.settings import Lora

ROLLOUTS = [rollout(i, float(i == 0), (20 + i, 2)) for i in range(3)]


folder = folders(BESIDE)


def adapted(folder: Path, adapter: bool) -> Any:
    """The model, with an adapter in it as a learner has it, whose output isn't zero any more."""
    model = loaded(folder, "eager")
    return taught(model, folder) if adapter else model


@pytest.mark.parametrize("adapter", [False, True])
def test_a_row_s_numbers_and_gradients_are_those_of_it_alone(folder: Path, adapter: bool) -> None:
    batch = rows(BATCH, probe=PROBE)
    model, plain = (adapted(folder, adapter) for _ in range(2))

    found, expected = score(model, batch, bonus=True), [alone(plain, one) for one in BATCH]

    for row, other in zip(split(found, batch.mask), expected, strict=True):
        for one, definition in zip(row, other, strict=True):
            torch.testing.assert_close(one, definition, atol=1e-5, rtol=0)
    same(
        gradients(model, summed(split(found, batch.mask), bonus=True)),
        gradients(plain, summed(expected, bonus=True)),
    )


@pytest.mark.parametrize("lora", [FIT.lora, None])
def test_it_learns_and_it_is_told_how(folder: Path, lora: Lora | None, tmp_path: Path) -> None:
    fit = FIT.model_copy(update={"lora": lora})
    pupil = learner(folder, fit)
    assert pupil.form == "rows"
    before = pupil.fingerprint()

    [(step, told), *steps], done = studied(work(folder, tmp_path, CaT(), fit), ROLLOUTS)

    assert (step, told["unshared"]) == (BEFORE, 1)
    assert done.moved
    assert steps
    [kept] = tmp_path.glob("step-*")
    again = learner(folder, fit, kept)
    assert not torch.equal(again.fingerprint(), before)


def test_tokens_of_rows_side_by_side_are_counted_with_their_padding(tiny: Path) -> None:
    encode = Tokens(tiny)
    some = [replace(one, said=replace(one.said, prompt_tokens=(5,) * 6)) for one in ROLLOUTS]
    longer = replace(some[0], said=replace(some[0].said, tokens=(1, 2, 3, 4)))

    def sizes(examples: list[Any], most: int, *, form: Form) -> list[int]:
        return [len(part) for part in microbatches(examples, encode, most, form=form)]

    assert sizes(some, 12, form="tree") == [3]  # 6 and thrice 2
    assert sizes(some, 12, form="rows") == [1, 1, 1]
    assert sizes(some, 16, form="rows") == [2, 1]  # twice 8
    assert sizes([*some, longer], 30, form="rows") == [3, 1]  # four times 10 are more than 30
    assert sizes([longer, *some], 30, form="rows") == [3, 1]
    assert sizes(some, 3 * SHORTEST, form="states") == [3]  # each is read whole, as long as a chunk
    assert sizes(some, 3 * SHORTEST - 1, form="states") == [2, 1]


def test_nothing_is_dropped_out_while_layers_are_recomputed(
    build_tiny: BuildTiny, tmp_path: Path
) -> None:
    folder = build_tiny(tmp_path, architecture="stablelm", attention_dropout=0.5)
    pupil = learner(folder, FIT.model_copy(update={"recompute": True}))
    passes = list[int]()

    def counted(*_: object) -> None:
        passes.append(1)

    pupil.base.model.layers[1].mlp.register_forward_pre_hook(counted)
    batch = rows(BATCH)

    found = pupil.policy(batch).logp
    found.sum().backward()

    assert len(passes) == 2  # forward, and again backward
    assert torch.equal(found, pupil.policy(batch).logp)
    assert torch.equal(found, learner(folder).policy(batch).logp)


def test_tokens_that_rows_share_are_taken_from_the_first_of_them(tiny: Path) -> None:
    shared = tuple(range(5, 200))
    batch = rows([said(shared, (n, 4, n)) for n in range(8)])
    model = loaded(tiny, "eager")

    def gradient() -> Tensor:
        embedding = model.get_input_embeddings().weight
        return torch.autograd.grad(score(model, batch).logp.sum(), embedding)[0]

    first = gradient()
    assert all(torch.equal(gradient(), first) for _ in range(5))


@pytest.mark.parametrize("number", ["float32", "bfloat16"])
def test_states_of_more_bits_than_the_head_are_rounded_for_it(
    number: Any, build_tiny: BuildTiny, tmp_path: Path
) -> None:
    model = build_tiny(tmp_path, architecture="mamba")  # whose residuals are always float32

    assert form(base(model, FIT.model_copy(update={"dtype": number}))) == "rows"


def test_models_with_a_form_are_told_apart(folder: Path, tiny: Path) -> None:
    assert form(base(folder, FIT)) == "rows"
    assert form(base(tiny, FIT)) != "rows"


def test_a_run_speaks_and_learns_with_it_and_says_how(
    build_tiny: BuildTiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = build_tiny(tmp_path / "model", architecture="stablelm")

    out = played(tmp_path, model, "intuitor", "fit.groups=4")

    found = {row["name"]: row["value"] for row in table(out / "metrics.parquet")}
    assert found["train/unshared"] == 1
    assert found["swap/trainer_gap"] < 1e-4
    assert capsys.readouterr().out.count("each goes through it whole") == 1
