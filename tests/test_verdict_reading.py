"""Where a learnt verdict is read: by the trainer, by the engine, and as PEFT's own pass has it."""

import asyncio
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import BuildTiny
from told import FIT, answered, rollout, studied
from transformers import AutoModelForCausalLM

from moot.agents.embedded.local import Local
from moot.agents.embedded.tokens import Tokens
from moot.agents.self_reward import FILE, read, write
from moot.agents.types import Completion, Message, Request, Sampling, Weights
from moot.training.data.examples import Rollout
from moot.training.job import Job
from moot.training.look import by_policy
from moot.training.methods.laser import LaSeR
from moot.training.model.architecture import base
from moot.training.model.learner import Learner
from moot.training.policy_gradient.objective import Objective


@pytest.fixture(scope="module")
def spare(build_tiny: BuildTiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose tokenizer has a token that no chat uses."""
    return build_tiny(tmp_path_factory.mktemp("spare"), spare=["<|reserved_0|>"])


def job(model: Path, folder: Path, weights: Path | None = None, **named: Any) -> Job:
    """The training of a policy by LaSeR."""
    return Job(
        model=model,
        weights=weights,
        folder=folder,
        method=LaSeR(objective=Objective(kl=0), beta=0.4, **named),
        fit=FIT,
        heard=None,
        adapter_seed=1,
        order_seed=2,
    )


def taught() -> list[Rollout]:
    return [rollout(i, float(i % 2), (20 + i % 2, 30, 2)) for i in range(4)]


def finished(work: Job) -> Path:
    """Do a job; return its last checkpoint."""
    assert isinstance(work.method, LaSeR)
    studied(work, work.method.graded(taught()))
    [folder] = work.folder.glob("step-*")
    return folder


def test_the_engine_reads_the_verdict_where_the_trainer_does(spare: Path, tmp_path: Path) -> None:
    folder = finished(job(spare, tmp_path))
    how, encode = read(folder), Tokens(spare)
    assert how is not None
    assert how.after == (*encode.completion("", ended=True), encode.spare)
    assert how.beta == 0.4

    [one] = answered("so 4").turns
    asked = Request(one.prompt, Sampling(), 0, "p", 1, choices=("so 4",), verdict=True)
    plain = replace(asked, verdict=False)
    first = replace(asked, version=0)

    async def ask() -> list[Completion]:
        async with Local(model=str(spare), device="cpu").open(tmp_path) as engine:
            await engine.load(Weights("p", 1, folder))
            return [await engine.generate(each) for each in (asked, plain, first)]

    said, unasked, untaught = asyncio.run(ask())

    #  By the trainer, and by a plain forward pass of PEFT's.
    pupil = Learner(base(spare, FIT), FIT, folder, 1, spare)
    reply = replace(taught()[0], said=replace(taught()[0].said, prompt=one.prompt, text="so 4"))
    reply = replace(
        reply, said=replace(reply.said, tokens=tuple(encode.completion("so 4", ended=True)))
    )
    [seen] = by_policy(pupil, [reply], encode, 1000, encode.spare)
    probe = seen.rows[0].known.probe
    assert probe is not None
    assert probe == pytest.approx(
        by_peft(spare, folder, [*encode.prompt(one.prompt), *reply.said.tokens], how.after[-1]),
        abs=1e-4,
    )
    assert said.verdict == pytest.approx(how.verdict(probe), abs=1e-4)
    assert probe != pytest.approx(how.constant, abs=1e-3)
    #  z is no part of what was said.
    assert said.tokens == reply.said.tokens
    assert len(said.logprobs) == len(said.tokens)
    assert (unasked.verdict, untaught.verdict) == (None, None)


def test_a_verdict_is_read_as_the_version_taught_that_speaks(spare: Path, tmp_path: Path) -> None:
    first = finished(job(spare, tmp_path / "first"))
    second, third = (shutil.copytree(first, tmp_path / name) for name in ("second", "third"))
    how = read(first)
    assert how is not None
    write(second, replace(how, beta=2 * how.beta))
    (third / FILE).unlink()
    asked = Request((Message("user", "2 + 2?"),), Sampling(), 0, "p", choices=("so 4",))

    async def ask() -> list[float | None]:
        said: list[float | None] = []
        async with Local(model=str(spare), device="cpu").open(tmp_path) as engine:
            for version, folder in enumerate((first, second, third), 1):
                await engine.load(Weights("p", version, folder))
                each = replace(asked, version=version, verdict=True)
                said.append((await engine.generate(each)).verdict)
        return said

    was, now, untaught = asyncio.run(ask())
    assert was
    assert (now, untaught) == (pytest.approx(2 * was), None)  # the same weights, read otherwise


def by_peft(model: Path, folder: Path, ids: list[int], token: int) -> float:
    from peft import PeftModel

    plain = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    whole = PeftModel.from_pretrained(plain, str(folder))
    with torch.no_grad():
        return whole(torch.tensor([ids])).logits[0, -1].log_softmax(-1)[token].item()


def test_the_constant_is_the_anchors_and_stays_with_the_weights(
    spare: Path, tmp_path: Path
) -> None:
    first = finished(job(spare, tmp_path / "first"))
    how = read(first)
    assert how is not None
    assert math.isfinite(how.constant)
    assert how.constant < -1

    #  Two epochs later c is still what the model gave z before it ever learnt.
    second = finished(job(spare, tmp_path / "second", first))
    again = read(second)
    assert again is not None
    assert again.constant == pytest.approx(how.constant, abs=1e-5)

    #  A cycle that teaches no verdicts leaves them as they are read.
    third = finished(job(spare, tmp_path / "third", second, reasoning_steps=1000))
    assert read(third) == again


def test_what_never_learnt_verdicts_has_none(spare: Path, tmp_path: Path) -> None:
    folder = finished(job(spare, tmp_path, reasoning_steps=1000))

    assert not (folder / FILE).exists()
    assert json.loads((folder / "adapter_config.json").read_text())["peft_type"] == "LORA"
