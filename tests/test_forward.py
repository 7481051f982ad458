"""A tree's forward gives the numbers, and the gradients, of each row alone in a plain model."""

from pathlib import Path

import pytest
import torch
from conftest import BuildTiny
from row_alone import (
    ARCHITECTURES,
    ASKED,
    BATCH,
    PROBE,
    adapted,
    alone,
    folders,
    gradients,
    loaded,
    said,
    same,
    split,
    summed,
)

from moot.training.model.attention import KERNEL
from moot.training.model.forward import score
from moot.training.model.rows import rows

folder = folders(ARCHITECTURES)


def test_shared_tokens_are_counted_once() -> None:
    batch = rows(BATCH)
    above = [sum(node.start <= k < node.last for node in batch.nodes) for k in batch.last.tolist()]

    # The seventh row's nodes: ASKED 4, 5, 7 8, 11 12 9 9, 4 4, 30 1 2 3, 5.
    assert max(above) == above[6] == 7
    # Those are 9 + 10 and 8 more; beside them stand 6, 9, 4, then 7 3 2 5, then 100 101 3.
    assert len(batch.tokens) == 17 + 7 + 3 + 4 + 3
    # 9 + 3, 9 + 4, 9 + 1; 15 + 3, 15 + 4; twice 20 + 4; twice 1 + 2, twice 2 + 2; 2 + 1
    assert sum(len(one.prompt_tokens) + len(one.tokens) for one in BATCH) == 137


@pytest.mark.parametrize("adapter", [False, True])
def test_a_row_s_numbers_are_those_of_it_alone(folder: Path, adapter: bool) -> None:
    batch = rows(BATCH, probe=PROBE)
    with torch.no_grad():
        found = score(adapted(loaded(folder, KERNEL), adapter), batch)
        plain = adapted(loaded(folder, "eager"), adapter)
        expected = [alone(plain, one) for one in BATCH]

    for row, other in zip(split(found, batch.mask), expected, strict=True):
        for one, definition in zip(row, other, strict=True):
            torch.testing.assert_close(one, definition, atol=1e-5, rtol=0)
    for values in found[:3]:
        assert values[~batch.mask].eq(0).all()


@pytest.mark.parametrize("bonus", [False, True])
@pytest.mark.parametrize("adapter", [False, True])
def test_gradients_are_those_of_each_row_alone(folder: Path, adapter: bool, bonus: bool) -> None:
    batch = rows(BATCH, probe=PROBE)
    model = adapted(loaded(folder, KERNEL), adapter)
    plain = adapted(loaded(folder, "eager"), adapter)

    found = score(model, batch, bonus=bonus)

    assert found.entropy.requires_grad == bonus
    same(
        gradients(model, summed(split(found, batch.mask), bonus)),
        gradients(plain, summed([alone(plain, one) for one in BATCH], bonus)),
    )


def test_a_head_s_bias_counts(build_tiny: BuildTiny, tmp_path: Path) -> None:
    folder = build_tiny(tmp_path, architecture="phi", tie_word_embeddings=False)
    batch = rows(BATCH, probe=PROBE)
    model, plain = (loaded(folder, attention) for attention in (KERNEL, "eager"))
    for one in (model, plain):
        one.lm_head.bias.data = torch.linspace(-3, 2, len(one.lm_head.bias))

    found = split(score(model, batch, bonus=True), batch.mask)

    expected = [alone(plain, one) for one in BATCH]
    for row, other in zip(found, expected, strict=True):
        torch.testing.assert_close(row, other, atol=1e-5, rtol=0)
    same(gradients(model, summed(found, True)), gradients(plain, summed(expected, True)))


def test_rows_with_nothing_in_common_are_as_alone(folder: Path) -> None:
    apart = [said((n, n + 1, *ASKED), (4, 5, 6)[:n]) for n in (1, 2, 3)]
    batch = rows(apart, probe=PROBE)
    assert len(batch.tokens) == (2 + 9) * 3 + 1 + 2 + 3

    with torch.no_grad():
        found = split(score(loaded(folder, KERNEL), batch), batch.mask)
        plain = loaded(folder, "eager")
        for row, one in zip(found, apart, strict=True):
            torch.testing.assert_close(row, alone(plain, one), atol=1e-5, rtol=0)


def test_a_scalar_head_expects_from_before_each_token_on_and_rewards_the_last(tiny: Path) -> None:
    batch, head = rows(BATCH), torch.nn.Linear(32, 1)

    with torch.no_grad():
        found = score(loaded(tiny, KERNEL), batch, scalar=head)
        plain = loaded(tiny, "eager")

        assert found.value is not None
        assert found.reward is not None
        for n, one in enumerate(BATCH):
            ids = torch.tensor([[*one.prompt_tokens, *one.tokens]])
            numbers = head(plain(ids, output_hidden_states=True).hidden_states[-1][0])[:, 0]
            expected = numbers[len(one.prompt_tokens) - 1 : -1]
            torch.testing.assert_close(found.value[n][batch.mask[n]], expected, atol=1e-5, rtol=0)
            torch.testing.assert_close(found.reward[n], numbers[-1], atol=1e-5, rtol=0)
    assert found.value[~batch.mask].eq(0).all()


@pytest.mark.parametrize("name", ["qwen2", "gemma2", "gemma3_text", "mistral"])
def test_windows_of_four_tokens_bite(name: str, build_tiny: BuildTiny, tmp_path: Path) -> None:
    folder = build_tiny(tmp_path / name, architecture=name, **ARCHITECTURES[name])
    batch = rows(BATCH)

    with torch.no_grad():
        narrow, wide = (
            score(loaded(folder, KERNEL, sliding_window=window), batch) for window in (4, 99)
        )

    assert (narrow.logp - wide.logp).abs().max() > 0.01


def test_half_the_width_is_as_near_as_the_plain_model_is(folder: Path) -> None:
    batch = rows(BATCH, probe=PROBE)

    with torch.no_grad():
        half = split(score(loaded(folder, KERNEL, torch.bfloat16), batch), batch.mask)
        models = loaded(folder, "eager"), loaded(folder, "eager", torch.bfloat16)
        exact, plain = ([torch.hstack(alone(m, one)) for one in BATCH] for m in models)

    error = (torch.cat([torch.hstack(row) for row in half]) - torch.cat(exact)).abs()
    usual = (torch.cat(plain) - torch.cat(exact)).abs()
    assert half[0][0].dtype == torch.float32
    assert error.mean() < 1.5 * usual.mean()
    assert error.max() < 2 * usual.max()


def test_gradients_in_half_the_width_are_near(folder: Path) -> None:
    batch = rows(BATCH, probe=PROBE)
    half, plain = loaded(folder, KERNEL, torch.bfloat16), loaded(folder, "eager", torch.bfloat16)
    exact = loaded(folder, "eager")

    found = gradients(half, summed(split(score(half, batch, bonus=True), batch.mask), True))
    usual, expected = (
        gradients(m, summed([alone(m, one) for one in BATCH], True)) for m in (plain, exact)
    )

    error, ours = (
        sum(float((g[name].float() - expected[name]).square().sum()) for name in expected) ** 0.5
        for g in (usual, found)
    )
    assert ours < 1.5 * error


def test_what_is_recomputed_has_the_same_gradients(tiny: Path) -> None:
    batch = rows(BATCH, probe=PROBE)
    model, again = loaded(tiny, KERNEL), loaded(tiny, KERNEL)
    again.gradient_checkpointing_enable({"use_reentrant": False})
    again.train()

    found, expected = (
        gradients(m, summed(split(score(m, batch, bonus=True), batch.mask), True))
        for m in (again, model)
    )

    same(found, expected)


def test_a_frozen_body_lets_its_head_learn(build_tiny: BuildTiny, tmp_path: Path) -> None:
    folder = build_tiny(tmp_path / "untied", tie_word_embeddings=False)
    model, plain = loaded(folder, KERNEL), loaded(folder, "eager")
    for one in (model, plain):
        one.model.requires_grad_(False)
    batch = rows(BATCH, probe=PROBE)

    found = gradients(model, summed(split(score(model, batch, bonus=True), batch.mask), True))

    assert list(found) == ["lm_head.weight"]
    same(found, gradients(plain, summed([alone(plain, one) for one in BATCH], True)))


def test_empty_completions_have_no_numbers_but_a_probe(tiny: Path) -> None:
    some = [said(ASKED, ()), said(ASKED, (4, 5)), said((7,), ())]
    model, plain = loaded(tiny, KERNEL), loaded(tiny, "eager")

    found, none = (score(model, rows(of, probe=PROBE)) for of in (some, [some[0], some[2]]))

    assert found.logp.shape == (3, 2)
    assert none.logp.shape == none.entropy.shape == none.certainty.shape == (2, 0)
    assert found.logp[0].tolist() == found.logp[2].tolist() == [0, 0]
    probes = torch.stack([alone(plain, one)[3] for one in some])
    assert found.probe is not None
    assert none.probe is not None
    torch.testing.assert_close(found.probe, probes, atol=1e-5, rtol=0)
    torch.testing.assert_close(none.probe, probes[[0, 2]], atol=1e-5, rtol=0)
    assert sum(float(g.abs().sum()) for g in gradients(model, none.logp.sum()).values()) == 0


def test_there_is_no_probe_unless_it_is_asked_for(tiny: Path) -> None:
    assert score(loaded(tiny, KERNEL), rows(BATCH)).probe is None
