"""A tree's forward gives the numbers, and the gradients, of each row alone in a plain model."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import BuildTiny
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM

from moot.training.data.examples import Said
from moot.training.model.attention import KERNEL
from moot.training.model.forward import score
from moot.training.model.rows import rows
from moot.training.model.types import Scores

# Windows of four tokens: less than the longest row has, and than what most rows share.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    "qwen3": {},
    "gemma2": {"sliding_window": 4},  # caps its products and its logits too
    "gemma3_text": {
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "mistral": {"sliding_window": 4},
    "granite": {"logits_scaling": 4.0, "attention_multiplier": 0.25},
    "cohere": {"logit_scale": 0.5},
}
PROBE = 17
ASKED = (90, 41, 7, 200, 13, 66, 41, 150, 28)


def said(prompt: tuple[int, ...], tokens: tuple[int, ...], temperature: float = 1.0) -> Said:
    return Said((), "", tokens=tokens, prompt_tokens=prompt, temperature=temperature)


# Every completion but the last three continues, or is continued by, another row's beginning.
FIRST = (*ASKED, 4, 5, 7, 8, 11, 12)  # goes on where the second row ends
SECOND = (*FIRST, 9, 9, 4, 4, 30)  # and this one where the fifth does
BATCH = [
    said(ASKED, (4, 5, 6)),
    said(ASKED, (4, 5, 7, 8)),
    said(ASKED, (4,)),
    said(FIRST, (9, 9, 9), 0.7),
    said(FIRST, (9, 9, 4, 4)),
    said(SECOND, (1, 2, 3, 4)),
    said(SECOND, (1, 2, 3, 5), 1.3),
    said((7,), (3, 2)),
    said((7,), (3, 2)),
    said((7, 3), (2, 5), 0.5),
    said((7, 3), (2, 5)),
    said((100, 101), (3,), 0.0),  # greedy: learns at 1
]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def folder(
    request: pytest.FixtureRequest, build_tiny: BuildTiny, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of a tiny model of each architecture; not to be written to."""
    made = tmp_path_factory.mktemp(request.param)
    return build_tiny(made, architecture=request.param, **ARCHITECTURES[request.param])


def loaded(folder: Path, attention: str, dtype: torch.dtype = torch.float32, **other: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation=attention, **other
    )


def adapted(model: Any, adapter: bool) -> Any:
    """Return the model that is asked, with a random adapter in it that alone learns, or none."""
    if not adapter:
        return model
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
        return get_peft_model(model, config).get_base_model()


def alone(model: Any, one: Said) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the definition of a row's numbers: no batch, no padding, no tree."""
    ids = torch.tensor([[*one.prompt_tokens, *one.tokens]])
    logits = model(ids, use_cache=False).logits[0].float()
    start = len(one.prompt_tokens)
    logp = (logits[start - 1 : -1] / (one.temperature or 1.0)).log_softmax(-1)
    return (
        logp.gather(-1, ids[0, start:, None])[:, 0],
        -(logp.exp() * logp).sum(-1),
        -logp.mean(-1) - torch.tensor(float(logp.shape[-1])).log(),
        logits[-1].log_softmax(-1)[PROBE],
    )


def summed(of_rows: list[tuple[Tensor, ...]], bonus: bool) -> Tensor:
    """Return a sum in which each row's log-probabilities, entropies and probe weigh otherwise."""
    total = torch.zeros(())
    for n, (logp, entropy, _, probe) in enumerate(of_rows):
        total = total + (n - 4.5) * logp.sum() + (2 - n) * probe
        total = total + 0.3 * n * entropy.sum() if bonus else total
    return total


def split(found: Scores, mask: Tensor) -> list[tuple[Tensor, ...]]:
    """Return the numbers of each row, without padding."""
    assert found.probe is not None
    return [
        (*(values[n][seen] for values in found[:3]), found.probe[n]) for n, seen in enumerate(mask)
    ]


def gradients(model: Any, of: Tensor) -> dict[str, Tensor]:
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return dict(zip(named, torch.autograd.grad(of, list(named.values())), strict=True))


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Check gradients to a hundred-thousandth of the greatest."""
    most = max(float(g.abs().max()) for g in expected.values())
    assert most > 0.1
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        apart = float((found[name] - gradient).abs().max())
        assert apart < min(1e-4 * max(most, 1), 1e-5 * most), name


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
