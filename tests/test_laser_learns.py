"""LaSeR: a policy learns to tell right answers from wrong ones, by a token that is to spare."""

from pathlib import Path
from typing import Any

import pytest
from conftest import BuildTiny
from transformers import AutoTokenizer
from unjudged import PLAIN, answer

from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import MootError
from moot.training.checkpoint import Progress
from moot.training.data.examples import Rollout
from moot.training.fit import fit, graded
from moot.training.methods.laser import LaSeR
from moot.training.model.architecture import base
from moot.training.model.learner import Learner
from moot.training.settings import Fit, Lora

FIT = Fit(lr=3e-2, epochs=40, groups=8, lora=Lora(rank=4))


@pytest.fixture(scope="module")
def spare(build_tiny: BuildTiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose tokenizer has a token that no chat uses."""
    return build_tiny(tmp_path_factory.mktemp("spare"), spare=["<|reserved_0|>"])


def everyone(_: object) -> bool:
    return True


def test_a_policy_learns_to_tell_right_from_wrong(spare: Path, tmp_path: Path) -> None:
    rollouts = [answer(i, float(i % 2 == 0)) for i in range(8)]
    # Among 260 tokens c is about -6 nats: a verdict of 1 must leave room below 0.
    method = LaSeR(objective=PLAIN, alpha=1.0, share=0.0, beta=0.4)
    learner = Learner(base(spare, FIT), FIT, None, seed=1, model=spare)
    encode = Tokens(spare)

    def verdicts(taught: list[Rollout]) -> list[bool]:
        looked = graded(learner, method, taught, encode, FIT, everyone)
        known = [one.rows[0].known for one in looked]
        return [
            method.beta * ((k.probe or 0.0) - (before.rows[0].known.anchor_probe or 0.0)) > 0.5
            for k, before in zip(known, first, strict=True)
        ]

    first = graded(learner, method, rollouts, encode, FIT, everyone)
    assert not any(verdicts(rollouts))
    steps = list(
        fit(learner, method, first, encode, FIT, seed=2, start=Progress(), folder=tmp_path)
    )

    assert verdicts(rollouts) == [i % 2 == 0 for i in range(8)]
    assert steps[-1][1]["verdict_loss"] < steps[0][1]["verdict_loss"] / 4
    assert steps[-1][1]["verdicts_on_right"] == steps[-1][1]["verdicts_on_wrong"] == 1.0


def test_tokens_that_a_tokenizer_lists_as_special_are_to_spare_where_no_chat_uses_them(
    build_tiny: BuildTiny, tmp_path: Path
) -> None:
    folder = build_tiny(tmp_path, spare=["<|vision_start|>", "<|vision_end|>"])
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<|start|>", "<|vision_start|>", "<|vision_end|>"]}
    )
    tokenizer.save_pretrained(folder)
    listed: Any = AutoTokenizer.from_pretrained(folder)
    last: int = listed.convert_tokens_to_ids("<|vision_end|>")

    assert last in listed.all_special_ids
    assert Tokens(folder).spare == last


def test_a_token_that_the_model_has_no_embedding_for_is_not_to_spare(
    build_tiny: BuildTiny, tmp_path: Path
) -> None:
    spare, known = ["<|extra_0|>", "<|reserved_0|>", "<|reserved_1|>"], 259
    folder = build_tiny(tmp_path, spare=spare, vocab_size=known + 2)

    assert Tokens(folder).spare == known + 1


def test_a_tokenizer_with_no_token_to_spare_is_told(tiny: Path) -> None:
    with pytest.raises(MootError, match=r"no special token that no chat uses.*<\|reserved_0\|>"):
        LaSeR().looks(Tokens(tiny))
