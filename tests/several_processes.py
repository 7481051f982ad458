"""Jobs that one process and several do alike.  As a script: do them all, as torchrun starts it."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from moot.agents.embedded.tokens import Tokens
from moot.agents.errors import MootError
from moot.agents.types import Message
from moot.training import world
from moot.training.data.examples import Example, Pair, Rollout, Said
from moot.training.data.filed import keeper, write
from moot.training.job import BEFORE, Done, Job
from moot.training.methods.cat import CaT
from moot.training.methods.dpo import DPO
from moot.training.methods.kto import KTO
from moot.training.model.architecture import base
from moot.training.model.types import Rows, Scores
from moot.training.policy_gradient.critic import Critic
from moot.training.policy_gradient.objective import Objective
from moot.training.reward_model import RewardModel, rewarded
from moot.training.settings import Fit, Guards, Lora

FIT = Fit(lr=1e-3, groups=3, batch_tokens=64, device="cpu", lora=Lora(rank=4))
CAT = CaT(objective=Objective(kl=0.1))
METHODS = {
    "cat": (CAT, FIT),
    "dpo": (DPO(), FIT.model_copy(update={"clip_norm": 2.0})),  # of some steps it is less
    "kto": (KTO(), FIT),  # what its loss is measured against is the mean of a step
    "ppo": (
        CaT(objective=Objective(kl=0.1, kl_in="reward", critic=Critic())),
        FIT.model_copy(update={"recompute": True}),
    ),
    "rounded": (CAT, FIT.model_copy(update={"dtype": "bfloat16"})),
    # A step is one part, and for the other process there is none.
    "guarded": (DPO(), FIT.model_copy(update={"guards": Guards(distinct=0.9)})),
    "failing": (
        CAT,
        FIT.model_copy(update={"checkpoint_every": 9, "guards": Guards(kl=1e-9, then="fail")}),
    ),
    "alone": (CAT, FIT.model_copy(update={"batch_tokens": 1024, "guards": Guards(entropy=0.01)})),
}
CASES = [
    *product(("cat", "dpo"), (True, False), (False, True)),
    ("kto", True, False),
    ("ppo", False, True),
    ("alone", True, True),
    *product(("rounded",), (False,), (False, True)),
]
"""The method, whether an adapter learns and not all weights, and whether the model is divided."""
GUARDED = ("guarded", True, False)
"""A case that takes no step."""
FAILING = ("failing", False, False)
"""A case that fails after some steps, of which there is no checkpoint yet."""


def said(episode: int, i: int) -> Said:
    tokens = (5 + i, 9 - i, 4)[: 1 + i % 3]
    prompt = (Message("user", f"{episode} + {i % 2}"),)
    return Said(prompt, str(i), tokens=tokens, finish="length", temperature=0.7)


def rollout(episode: int, i: int) -> Rollout:
    reward = float(i == episode % 4)
    return Rollout(f"e{episode}", i, 0, "a", "w", 0, said(episode, i), reward)


def pair(episode: int, i: int) -> Pair:
    sides = said(episode, i), said(episode, i + 2)
    return Pair(f"e{episode}", (i, i + 2), ("a", "a"), ("w",), *sides)


ROLLOUTS = [rollout(e, i) for e in range(7) for i in range(4)]
WAITING = [replace(one, reward=None) for one in ROLLOUTS]
PAIRS = [pair(e, i) for e in range(7) for i in range(2)]
# In no step, and alike: what the guard of all texts sees, and that of a step doesn't.
ALIKE = [replace(one, rejected=one.chosen, teaches=False) for one in PAIRS[:4]]


def examples(name: str) -> list[Example]:
    if name == "kto":  # what it contrasts them with is looked at too
        return [*KTO().graded(ROLLOUTS)]
    if name == "guarded":
        return [*ALIKE, *PAIRS[4:]]
    return [*(PAIRS if name == "dpo" else ROLLOUTS)]


def job(name: str, model: Path, folder: Path, **changes: Any) -> Job:
    """The training by the method of that name, whose checkpoints go to `folder`."""
    method, fit = METHODS[name]
    return Job(
        model=model,
        weights=None,
        folder=folder,
        method=method,
        fit=fit.model_copy(update=changes),
        heard=("w",),
        adapter_seed=1,
        order_seed=2,
    )


def taken(steps: Iterator[Any]) -> tuple[list[Any], Done]:
    """The steps of a job, and what it returns."""
    found: list[Any] = []
    while True:
        try:
            found.append(list(next(steps)))
        except StopIteration as end:
            return [step for step in found if step[0] != BEFORE], end.value


class Counting:
    """Stands for a reward model; counts the passes through it."""

    def __init__(self) -> None:
        self.device, self.form, self.passes = torch.device("cpu"), "tree", 0

    def policy(self, rows: Rows) -> Scores:
        self.passes += 1
        nothing = torch.zeros(rows.mask.shape)
        return Scores(nothing, nothing, nothing, reward=torch.zeros(len(rows)))


def summed() -> list[list[float] | None]:
    """Sum gradients of which not every process has each; return those that this one has then."""
    who = [{*range(world.size())}, {0}, {world.size() - 1}, set[int]()]
    parameters = [nn.Parameter(torch.zeros(2)) for _ in who]
    for parameter, some in zip(parameters, who, strict=True):
        if world.rank() in some:
            parameter.grad = torch.tensor([1.0, world.rank()])
    world.add(parameters)
    return [None if p.grad is None else p.grad.tolist() for p in parameters]


def passes(model: Path) -> int:
    """How often the model's parts are passed through while it is made ready to be learnt on."""
    seen = 0

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1

    hook = register_module_forward_hook(count)
    base(model, FIT.model_copy(update={"processes": world.size()}))
    hook.remove()
    return seen


def refused() -> str:
    """What is raised here as the process that leads refuses something."""

    def refuse() -> None:
        raise MootError(f"refused by {world.rank()}")

    try:
        world.led(refuse)
    except MootError as error:
        return str(error)
    return "nothing"


def place(folder: Path, name: str, lora: bool, shard: bool) -> Path:
    words = [name, "lora" if lora else "whole", *(["shard"] if shard else [])]
    return folder / "-".join(words)


def done(model: Path, folder: Path, several: bool) -> None:
    """Do all jobs; what came of each is left in its folder.

    Where there are several processes, preferences come from a file.
    """
    from moot.training.study import study

    with world.joined("cpu") if several else nullcontext():
        cases = CASES if several else dict.fromkeys((n, lora, False) for n, lora, _ in CASES)
        for name, lora, shard in (*cases, GUARDED):
            there = place(folder, name, lora, shard)
            there.mkdir(parents=True, exist_ok=True)
            changes: dict[str, Any] = {"shard": shard, "processes": world.size()}
            changes |= {} if lora else {"lora": None}
            told: Sequence[Example] = examples(name)
            if several and isinstance(told[0], Pair):
                (there / "told").mkdir(exist_ok=True)
                told = keeper(there / "told")(told)
            steps, end = taken(study(job(name, model, there, **changes), told))
            if world.leads():
                (there / "steps.json").write_text(json.dumps([steps, end.moved]))
        there = place(folder, *FAILING)
        there.mkdir(exist_ok=True)
        with suppress(MootError):
            taken(study(job("failing", model, there, lora=None, processes=world.size()), ROLLOUTS))
        kept = [path.name for path in there.glob("step-*")]
        (there / f"kept-{world.rank()}.json").write_text(json.dumps(kept))
        (folder / f"summed-{world.rank()}.json").write_text(json.dumps(summed()))
        found = [passes(model), refused(), world.led(world.rank)]
        (folder / f"led-{world.rank()}.json").write_text(json.dumps(found))
        if several:
            there = folder / "cut"
            cut = job("cat", model, there, lora=None, shard=True, processes=world.size())
            steps = study(cut, ROLLOUTS)
            assert [next(steps)[0] for _ in range(3)] == [BEFORE, 0, 1]
            steps.close()  # when the checkpoint of step 0 is written
            rest, _ = taken(study(cut, ROLLOUTS))
            if world.leads():
                (there / "steps.json").write_text(json.dumps(rest))
        there = folder / "reward"
        there.mkdir(exist_ok=True)
        told = keeper(there)(WAITING) if several else WAITING
        judge = job("cat", model, there, shard=several, processes=world.size())
        judge = judge.model_copy(update={"what": "reward", "method": RewardModel()})
        _, end = taken(study(judge, told))
        if world.leads():
            write(there / "rewarded.parquet", end.examples)
        counting = Counting()
        rewarded(cast(Any, counting), WAITING, Tokens(model), FIT.batch_tokens)
        (there / f"passes-{world.rank()}.json").write_text(json.dumps(counting.passes))


if __name__ == "__main__":
    world.BUCKET = 64  # gradients are summed in several goes
    done(Path(sys.argv[1]), Path(sys.argv[2]), several=True)
