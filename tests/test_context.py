"""Rows side by side: each is to the local engine's model what it is by itself."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from conftest import EYES, BuildTiny
from row_alone import RECURRENT

from moot.agents.embedded.generate import Row, generate
from moot.agents.embedded.plain import alone
from moot.agents.embedded.tokens import Tokens
from moot.agents.embedded.voice import Voice
from moot.agents.embedded.weigh import weigh
from moot.agents.errors import EngineError
from moot.agents.types import Sampling
from moot.agents.weights.pretrained import load

BOTH = ["sliding_attention", "full_attention"]
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {"sliding_window": 4},
    "gemma2": {"sliding_window": 4, "layer_types": BOTH},
    "gemma3_text": {"sliding_window": 4, "layer_types": BOTH},
    "gemma3": {
        "sliding_window": 4,
        "layer_types": BOTH,
        "vision_config": EYES,
    },
    "qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
    **{name: how for name, how in RECURRENT.items() if name != "mamba2"},
}
"""Windows of four tokens: less than any prompt has."""
Ids = tuple[int, ...]
SHARED: Ids = (90, 41, 7, 200, 13, 66, 41, 150, 28)
PROMPTS: list[Ids] = [(*SHARED, 5), (*SHARED, 6, 7, 8, 9, 10, 11, 12), (*SHARED, 5), (9, 8, 7)]
REPLIES: list[Ids] = [(4, 5, 6, 7, 8, 9, 10), (30,), (31, 32), (11, 12, 13, 14)]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def voice(
    request: pytest.FixtureRequest, build_tiny: BuildTiny, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Tokens]:
    """A model in memory and its tokenizer; that it can be served has been seen."""
    folder = tmp_path_factory.mktemp(request.param)
    build_tiny(folder, architecture=request.param, **ARCHITECTURES[request.param])
    Voice(folder, "float32", "cpu")
    return load(folder, "float32", "cpu").eval(), Tokens(folder)


@pytest.mark.parametrize("some", [[0, 1], [0, 1, 2], [0, 2], [0, 1, 3]])
def test_a_reply_is_as_likely_beside_others_as_alone(
    some: Sequence[int], voice: tuple[Any, Tokens]
) -> None:
    model, _ = voice
    prompts, replies = [PROMPTS[i] for i in some], [REPLIES[i] for i in some]

    found = weigh(model, prompts, [[reply] for reply in replies])

    for [told], row in zip(found, zip(prompts, replies, strict=True), strict=True):
        assert told == pytest.approx(alone(model, row).tolist(), abs=1e-5)


@pytest.mark.parametrize("some", [[0, 1], [0, 1, 2], [0, 1, 3]])
def test_what_is_said_beside_others_has_the_log_probabilities_it_has_alone(
    some: Sequence[int], voice: tuple[Any, Tokens]
) -> None:
    model, tokens = voice
    rows = [
        Row(PROMPTS[i], Sampling(temperature=1.0), 3 + 4 * i, Random(i), lambda: False)
        for i in some
    ]

    generate(model, tokens, rows)

    for row in rows:
        own = alone(model, (row.prompt, tuple(row.tokens)))
        assert row.logprobs == pytest.approx(own.tolist(), abs=1e-5)


def test_with_a_longrope_no_more_is_read_than_the_original(
    build_tiny: BuildTiny, tmp_path: Path
) -> None:
    rope = {"rope_type": "longrope", "rope_theta": 1e4, "factor": 2.0}
    halves = {"long_factor": [2.0] * 4, "short_factor": [1.0] * 4}
    bound = {"original_max_position_embeddings": 128}
    build_tiny(tmp_path, rope_parameters={**rope, **halves, **bound})
    voice = Voice(tmp_path, "float32", "cpu")

    assert voice._context == 128  # pyright: ignore[reportPrivateUsage]


def test_states_that_take_padding_in_are_refused_at_once(
    build_tiny: BuildTiny, tmp_path: Path
) -> None:
    build_tiny(tmp_path, architecture="mamba")

    with pytest.raises(EngineError, match="the local engine can't serve this architecture: "):
        Voice(tmp_path, "float32", "cpu")


def test_rows_that_disturb_each_other_are_refused(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moot.agents.embedded import context

    def unmasked(rows: Any, device: Any, **how: Any) -> Any:
        ids, mask = padded(rows, device, **how)
        return ids, torch.ones_like(mask)

    padded = context.padded
    monkeypatch.setattr(context, "padded", unmasked)

    with pytest.raises(EngineError, match=r"rows disturb each other \(.* nats a token\)"):
        Voice(tiny, "float32", "cpu")
