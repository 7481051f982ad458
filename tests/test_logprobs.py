"""Log-probabilities by blocks of the vocabulary: what the plain form, all at once, gives."""

from math import log

import pytest
import torch
from torch import Tensor

from moot.training.model import logprobs
from moot.training.model.logprobs import Chosen, Head, chosen

TOKENS, WIDTH, VOCABULARY = 11, 6, 23
# Blocks of 23 entries, chunks of 11 tokens: all at once; 7 + 7 + 7 + 2, 4 + 4 + 3; one each.
SIZES = [(2048, 1024), (7, 4), (1, 1)]
HEADS = [(1.0, None), (0.25, None), (1.0, 2.0), (3.0, 5.0)]


def drawn() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return hidden states, the head's weight, tokens with both ends among them, temperatures."""
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(TOKENS, WIDTH, generator=draw)
    weight = torch.randn(VOCABULARY, WIDTH, generator=draw)
    tokens = torch.randint(VOCABULARY, (TOKENS,), generator=draw)
    tokens[:3] = torch.tensor([0, VOCABULARY - 1, 0])
    return hidden, weight, tokens, torch.linspace(0.5, 2, TOKENS)


def plain(head: Head, hidden: Tensor, tokens: Tensor, temperature: Tensor) -> Chosen:
    """Return the definition."""
    logits = head.scale * (hidden @ head.weight.T + (0 if head.bias is None else head.bias))
    if head.cap is not None:
        logits = head.cap * (logits / head.cap).tanh()
    logp = (logits / temperature[:, None]).log_softmax(-1)
    return Chosen(
        logp.gather(-1, tokens[:, None])[:, 0],
        -(logp.exp() * logp).sum(-1),
        (logp.new_tensor(1 / len(head.weight)).log() - logp).mean(-1),
    )


def made(draw: tuple[Tensor, ...], scale: float, cap: float | None, bonus: bool) -> Chosen:
    hidden, weight, tokens, temperature = draw
    return chosen(Head(weight, scale, cap), hidden, tokens, temperature, bonus=bonus)


def summed(found: Chosen, bonus: bool) -> Tensor:
    """Return a sum that weighs each token otherwise, and its entropy yet otherwise."""
    by = torch.linspace(-1, 2, len(found.logp)).to(found.logp)
    total = (by * found.logp).sum()
    return total + (by.flip(0) * found.entropy).sum() if bonus else total


def near(found: Tensor | None, expected: Tensor | None) -> None:
    """Check that they differ by a hundred-thousandth of the greatest at most."""
    assert found is not None
    assert expected is not None
    most = 1e-5 * max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(found.double(), expected.double(), atol=most, rtol=0)


@pytest.fixture(params=SIZES, ids=str)
def _sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    block, tokens = request.param
    monkeypatch.setitem(logprobs.BLOCK, "cpu", block)
    monkeypatch.setattr(logprobs, "TOKENS", tokens)


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize(("scale", "cap"), HEADS)
def test_values_are_those_of_all_logits_at_once(scale: float, cap: float | None) -> None:
    hidden, weight, tokens, temperature = drawn()

    found = made(drawn(), scale, cap, bonus=False)

    exact = Head(weight.double(), scale, cap)
    expected = plain(exact, hidden.double(), tokens, temperature.double())
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        near(one, other)


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize("bonus", [False, True])
@pytest.mark.parametrize("learning", ["hidden", "weight", "both"])
@pytest.mark.parametrize(("scale", "cap"), HEADS)
def test_gradients_are_those_of_all_logits_at_once(
    scale: float, cap: float | None, learning: str, bonus: bool
) -> None:
    hidden, weight, tokens, temperature = drawn()
    hidden.requires_grad_(learning != "weight")
    weight.requires_grad_(learning != "hidden")
    exact, exact_weight = (t.detach().double().requires_grad_() for t in (hidden, weight))

    summed(made((hidden, weight, tokens, temperature), scale, cap, bonus), bonus).backward()
    definition = plain(Head(exact_weight, scale, cap), exact, tokens, temperature.double())
    summed(definition, bonus).backward()

    for leaf, other in ((hidden, exact), (weight, exact_weight)):
        if leaf.requires_grad:
            near(leaf.grad, other.grad)
        else:
            assert leaf.grad is None


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize("bonus", [False, True])
@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize(("scale", "cap"), HEADS)
def test_a_bias_is_the_logits_beside_all_else(
    scale: float, cap: float | None, learns: bool, bonus: bool
) -> None:
    hidden, weight, tokens, temperature = drawn()
    bias = torch.linspace(-2, 3, VOCABULARY)
    leaves = [t.requires_grad_() for t in (hidden, *([weight, bias] if learns else []))]
    exact = [t.detach().double().requires_grad_() for t in (hidden, weight, bias)]

    found = chosen(Head(weight, scale, cap, bias), hidden, tokens, temperature, bonus=bonus)
    wanted = plain(Head(exact[1], scale, cap, exact[2]), exact[0], tokens, temperature.double())

    for one, other in zip(found, wanted, strict=True):
        near(one.detach(), other.detach())
    summed(found, bonus).backward()
    summed(wanted, bonus).backward()
    for leaf, other in zip(leaves, exact, strict=False):
        near(leaf.grad, other.grad)


def test_only_what_may_have_a_gradient_has_one() -> None:
    hidden, weight, tokens, temperature = drawn()
    hidden.requires_grad_()

    without = made((hidden, weight, tokens, temperature), 1.0, None, bonus=False)
    withal = made((hidden, weight, tokens, temperature), 1.0, None, bonus=True)

    assert [t.requires_grad for t in without] == [True, False, False]
    assert [t.requires_grad for t in withal] == [True, True, False]


def test_a_flat_distribution_by_hand() -> None:
    # every token has 1/23: the entropy is log 23, and there is nothing to be certain of
    hidden, weight, tokens, temperature = drawn()

    found = made((hidden, torch.zeros_like(weight), tokens, temperature), 1.0, None, bonus=False)

    near(found.logp, torch.full((TOKENS,), -log(VOCABULARY)))
    near(found.entropy, torch.full((TOKENS,), log(VOCABULARY)))
    near(found.certainty, torch.zeros(TOKENS))


def test_two_entries_by_hand() -> None:
    # logits log 3 and 0, at temperature 1: 3/4 and 1/4; halved in scale and in heat: the same
    hidden, weight = torch.tensor([[log(3)]] * 2), torch.tensor([[1.0], [0.0]])

    found = chosen(Head(weight, 0.5), hidden, torch.tensor([0, 1]), torch.tensor([0.5, 0.5]))

    near(found.logp, torch.tensor([log(3 / 4), log(1 / 4)]))
    near(found.entropy, torch.tensor([log(4) - 0.75 * log(3)] * 2))
    near(found.certainty, torch.tensor([log(1 / 2) - (log(3 / 4) + log(1 / 4)) / 2] * 2))


@pytest.mark.parametrize("bonus", [False, True])
def test_no_tokens_have_no_values(bonus: bool) -> None:
    hidden, weight = torch.zeros(0, WIDTH).requires_grad_(), drawn()[1].requires_grad_()

    found = made((hidden, weight, torch.zeros(0).long(), torch.zeros(0)), 1.0, None, bonus)
    summed(found, bonus).backward()

    assert [t.tolist() for t in found] == [[], [], []]
    assert hidden.grad is not None
    assert hidden.grad.shape == (0, WIDTH)
    near(weight.grad, torch.zeros_like(weight))


@pytest.mark.usefixtures("_sizes")
@pytest.mark.parametrize("cap", [None, 30.0])
def test_great_logits_stay_finite(cap: float | None) -> None:
    # entry 0 has the logit 10,000, entry 1 -10,000 and the others lie between, by twos
    hidden = torch.tensor([[1e4], [1e4], [-1e4]], requires_grad=True)
    weight = torch.linspace(1, -1, VOCABULARY)[:, None].requires_grad_()
    tokens, heat = torch.tensor([0, VOCABULARY - 1, 0]), torch.ones(3)

    found = made((hidden, weight, tokens, heat), 1.0, cap, bonus=True)
    summed(found, bonus=True).backward()

    assert all(bool(t.isfinite().all()) for t in found)
    for leaf in (hidden, weight):
        assert leaf.grad is not None
        assert bool(leaf.grad.isfinite().all())
    if cap is None:  # the top logit is as good as certain, and the mean logit is 0
        assert found.logp.tolist() == [0, -2e4, -2e4]
        assert found.entropy.tolist() == [0, 0, 0]
        near(found.certainty, torch.full((3,), 1e4 - log(VOCABULARY)))


@pytest.mark.usefixtures("_sizes")
def test_half_the_width_is_near() -> None:
    hidden, weight, tokens, temperature = drawn()
    hidden, weight = (t.bfloat16().requires_grad_() for t in (hidden, weight))
    exact, exact_weight = (t.detach().double().requires_grad_() for t in (hidden, weight))

    found = made((hidden, weight, tokens, temperature), 1.0, None, bonus=True)
    definition = plain(Head(exact_weight), exact, tokens, temperature.double())
    summed(found, bonus=True).backward()
    summed(definition, bonus=True).backward()

    # Logits of up to 8 at a temperature of 1/2 are rounded to 8 bits, to 2⁻⁷ times 2, and so are
    # the gradients' factors; each is about as near to the truth as the plain form in bfloat16.
    for one, other in zip(found, definition, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one.double(), other, atol=2**-5, rtol=0)
    for leaf, other in ((hidden, exact), (weight, exact_weight)):
        assert leaf.grad is not None
        assert other.grad is not None
        assert leaf.grad.dtype == torch.bfloat16
        most = 2**-6 * float(other.grad.abs().max())
        torch.testing.assert_close(leaf.grad.double(), other.grad, atol=most, rtol=0)


def test_on_16_bits_a_gradient_over_many_blocks_is_as_near_as_over_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(64, 32, generator=draw).bfloat16()
    weight = 0.2 * torch.randn(4096, 32, generator=draw).bfloat16()
    tokens = torch.randint(4096, (64,), generator=draw)

    def gradient(block: int, *inputs: Tensor) -> Tensor:
        monkeypatch.setitem(logprobs.BLOCK, "cpu", block)
        leaf = inputs[0].clone().requires_grad_()
        found = made((leaf, inputs[1], tokens, torch.ones(64)), 1.0, None, bonus=False)
        found.logp.sum().backward()
        assert leaf.grad is not None
        return leaf.grad.float()

    exact = gradient(4096, hidden.float(), weight.float())
    one, many = (gradient(block, hidden, weight) - exact for block in (4096, 8))

    assert many.norm() < 1.2 * one.norm()
