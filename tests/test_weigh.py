"""The local engine weighs choices exactly as plain forward passes do, whatever is beside them."""

import asyncio
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from moot.agents.embedded import weigh
from moot.agents.embedded.local import Local
from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import EngineError, MootError
from moot.agents.types import Completion, Message, Request, Sampling

TEXTS = ["Which is better?", "Hi", "Which of the two is the better one, 1 or 2?"]
CHOICES = [("1", "2"), ("yes", "no"), tuple(str(i) for i in range(1, 11)), ("a long reply",)]


def poll(text: str, choices: tuple[str, ...], seed: int = 0, heat: float = 0.0) -> Request:
    return Request((Message("user", text),), Sampling(temperature=heat), seed, choices=choices)


def answers(model: Path, *requests: Request, batch: int = 64) -> list[Completion]:
    async def ask() -> list[Completion]:
        async with Local(model=str(model), batch=batch, device="cpu").open(Path()) as engine:
            said = await asyncio.gather(*map(engine.generate, requests))
            return [replace(one, latency_s=0.0) for one in said]

    return asyncio.run(ask())


def by_forward(model: Path, request: Request) -> list[float]:
    """The log-probability of each choice as the beginning of the reply: one pass for each."""
    plain = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    tokens = Tokens(model)
    prompt = tokens.prompt(request.prompt)
    found: list[float] = []
    for choice in request.choices:
        ids = tokens.completion(choice, ended=False)
        with torch.no_grad():
            logp = plain(torch.tensor([[*prompt, *ids]])).logits[0].log_softmax(-1)
        places = range(len(prompt) - 1, len(prompt) + len(ids) - 1)
        found.append(
            sum(float(logp[place, token]) for place, token in zip(places, ids, strict=True))
        )
    return found


@pytest.mark.parametrize("most", [weigh.MOST, 1000])
def test_choices_are_weighed_as_plain_passes_weigh_them(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(weigh, "MOST", most)  # few columns at a time, or all at once
    requests = [poll(text, choices) for text in TEXTS for choices in CHOICES]

    for request, said in zip(requests, answers(tiny, *requests), strict=True):
        begins = [math.exp(p) for p in by_forward(tiny, request)]
        if "10" in request.choices:  # a byte is a token: 10 is 1, and then 0
            begins[0] -= begins[9]
        expected = [p / sum(begins) for p in begins]
        assert said.shares == pytest.approx(expected, abs=1e-5)
        best = request.choices[expected.index(max(expected))]
        assert (said.text, said.finish, said.tokens_out) == (best, "stop", len(best))
        chosen = by_forward(tiny, replace(request, choices=(best,)))
        assert sum(said.logprobs) == pytest.approx(chosen[0], abs=1e-4)
        assert len(said.logprobs) == len(said.tokens) == len(best)


def test_what_is_asked_beside_it_changes_nothing(tiny: Path) -> None:
    free = Request((Message("user", "Hi"),), Sampling(max_tokens=5), 3)
    polls = [poll(text, choices, seed=4, heat=1) for text in TEXTS for choices in CHOICES]

    together = answers(tiny, *polls, free)
    apart = answers(tiny, *polls, free, batch=1)
    turned = answers(tiny, free, *reversed(polls))[::-1]

    for one, *others in zip(together, apart, turned, strict=True):
        for other in others:
            assert (one.text, one.tokens) == (other.text, other.tokens)
            assert one.shares == pytest.approx(other.shares, abs=1e-5)
    assert together[-1].shares == ()


def test_the_choice_is_drawn_by_the_seed(tiny: Path) -> None:
    polls = [poll("Hi", ("1", "2"), seed, heat=1) for seed in range(200)]

    said = answers(tiny, *polls)

    p = said[0].shares[0]
    ones = sum(one.text == "1" for one in said)
    assert abs(ones - 200 * p) < 3.3 * math.sqrt(200 * p * (1 - p))
    assert said == answers(tiny, *polls)


def test_a_choice_that_is_no_token_or_too_long_is_refused(tiny: Path) -> None:
    with pytest.raises(EngineError, match="the choice '' is no token"):
        answers(tiny, poll("Hi", ("", "a")))
    with pytest.raises(MootError, match="leaves no room for a reply in the model's context of 256"):
        answers(tiny, poll("Hi", ("x" * 300, "a")))
