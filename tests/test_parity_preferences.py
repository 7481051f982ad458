"""The preference and reward losses against TRL's own trainers: the same loss, the same gradient.

TRL gets a tiny model, a data set and its real trainer, and its `compute_loss` is called on a batch
its own collator made.  Our side runs a plain forward over the same tokens.  Runs where TRL is
installed (`make parity`), is skipped elsewhere.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from moot.training.losses import preference as losses
from moot.training.losses.policy import mean as mean_over
from moot.training.losses.policy import total
from moot.training.losses.reward import bradley_terry, centring

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

Batch = dict[str, Tensor]
Models = tuple[Any, Any, Any]
"""A policy, the anchor it has moved away from, and their tokenizer."""

PAIRS: list[dict[str, Any]] = [  # a byte a token: prompts and completions differ in length
    {"prompt": "What is two and two?", "chosen": " Four.", "rejected": " Five, I say, but ask."},
    {"prompt": "Name a colour:", "chosen": " red, as a rose is red", "rejected": " no"},
    {"prompt": "Why?", "chosen": " Because it is so", "rejected": " Because I said so, and so"},
    {"prompt": "Go on, then", "chosen": " on", "rejected": " and on and on"},
]
BETA = 0.3

DPO: dict[str, tuple[Callable[..., Tensor], dict[str, Any]]] = {
    "sigmoid": (losses.dpo, {}),
    "sigmoid_norm": (losses.dpo, {}),
    "robust": (partial(losses.robust, noise=0.2), {"label_smoothing": 0.2}),
    "ipo": (losses.ipo, {}),
    "hinge": (losses.hinge, {}),
    "exo_pair": (partial(losses.exo, noise=0.01), {"label_smoothing": 0.01}),
    "nca_pair": (losses.nca, {}),
    "bco_pair": (losses.bco, {}),
    "sppo_hard": (losses.sppo, {}),
    "apo_zero": (losses.apo_zero, {}),
    "apo_down": (losses.apo_down, {}),
    "discopop": (partial(losses.discopop, temperature=0.5), {"discopop_tau": 0.5}),
    "aot_unpaired": (losses.aot, {}),
}


@pytest.fixture(scope="module")
def models(tiny: Path) -> Models:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    anchor: Any = AutoModelForCausalLM.from_pretrained(tiny)
    policy = deepcopy(anchor)
    moved = torch.Generator().manual_seed(8)  # right on one pair of four; KTO's baseline is above 0
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=moved)
    return policy, anchor, AutoTokenizer.from_pretrained(tiny)


def build(
    name: str, models: Models, folder: Path, rows: list[dict[str, Any]] = PAIRS, **named: Any
) -> Any:
    """Return TRL's trainer of that name, on the CPU and without any service."""
    stable = hasattr(trl, f"{name}Trainer")
    home = trl if stable else pytest.importorskip(f"trl.experimental.{name.lower()}")
    plain = {"use_cpu": True, "bf16": False, "report_to": "none", "gradient_checkpointing": False}
    policy, anchor, tokenizer = models
    return getattr(home, f"{name}Trainer")(
        model=deepcopy(policy),
        args=getattr(home, f"{name}Config")(
            output_dir=str(folder), per_device_train_batch_size=len(rows), **plain, **named
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
        **({"ref_model": deepcopy(anchor)} if name in {"DPO", "KTO"} else {}),
    )


def theirs(trainer: Any) -> tuple[Batch, Tensor]:
    """Return a batch of all the trainer's examples and the trainer's loss of it."""
    batch = trainer.data_collator(list(trainer.train_dataset))
    return batch, trainer.compute_loss(trainer.model, dict(batch))


def token_logp(model: Any, batch: Batch) -> Tensor:
    """Return (N, T - 1) log-probabilities of the (N, T) tokens after the first."""
    ids = batch["input_ids"]
    logits = model(input_ids=ids, attention_mask=batch["attention_mask"]).logits[:, :-1]
    return logits.log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1)


def completion_logp(model: Any, batch: Batch, *, mean: bool = False) -> Tensor:
    """Return (N,) log-probabilities of the batch's completions, summed or averaged over tokens."""
    mask = batch["completion_mask"][:, 1:].bool()
    gathered = mean_over if mean else total
    return gathered(token_logp(model, batch), mask)


def logratio(policy: Any, anchor: Any, batch: Batch, *, mean: bool = False) -> Tensor:
    with torch.no_grad():
        reference = completion_logp(anchor, batch, mean=mean)
    return completion_logp(policy, batch, mean=mean) - reference


def assert_same(trainer: Any, their_loss: Tensor, model: Any, our_loss: Tensor) -> None:
    """Check loss and gradient of two copies of one model to 1e-5 of their size."""
    their_loss.backward()
    our_loss.backward()
    torch.testing.assert_close(our_loss, their_loss, rtol=1e-5, atol=1e-5)
    found, wanted = (
        torch.cat([p.grad.flatten() for p in side.parameters()]) for side in (model, trainer.model)
    )
    assert wanted.norm() > 1e-3  # or the comparison says nothing
    assert (found - wanted).norm() / wanted.norm() < 1e-5


def test_trl_is_the_release_compared_with() -> None:
    assert trl.__version__.startswith("1.16")


@pytest.mark.parametrize("loss_type", DPO)
def test_dpo_and_its_kin_are_trls(loss_type: str, models: Models, tmp_path: Path) -> None:
    loss, named = DPO[loss_type]
    trainer = build("DPO", models, tmp_path, loss_type=[loss_type], beta=BETA, **named)
    batch, their_loss = theirs(trainer)

    policy = deepcopy(models[0])
    mean = loss_type in {"ipo", "sigmoid_norm"}
    chosen, rejected = logratio(policy, models[1], batch, mean=mean).chunk(2)

    assert_same(trainer, their_loss, policy, loss(chosen, rejected, beta=BETA).mean())


def test_paired_aot_is_trls(models: Models, tmp_path: Path) -> None:
    trainer = build("DPO", models, tmp_path, loss_type=["aot"], beta=BETA)
    batch, their_loss = theirs(trainer)

    policy = deepcopy(models[0])
    chosen, rejected = completion_logp(policy, batch).chunk(2)
    with torch.no_grad():
        anchor_chosen, anchor_rejected = completion_logp(models[1], batch).chunk(2)
    loss = losses.aot(chosen - rejected, anchor_chosen - anchor_rejected, beta=BETA)

    assert_same(trainer, their_loss, policy, loss.mean())


def test_trls_sft_term_is_a_mean_over_all_chosen_tokens(models: Models, tmp_path: Path) -> None:
    trainer = build("DPO", models, tmp_path, loss_type=["sft"])
    batch, their_loss = theirs(trainer)

    policy = deepcopy(models[0])
    chosen = {key: value.chunk(2)[0] for key, value in batch.items()}
    logp = token_logp(policy, chosen)[chosen["completion_mask"][:, 1:].bool()]

    assert_same(trainer, their_loss, policy, -logp.mean())


@pytest.mark.parametrize("loss_type", ["kto", "apo_zero_unpaired"])
def test_kto_is_trls(loss_type: str, models: Models, tmp_path: Path) -> None:
    rows = [
        {"prompt": p["prompt"], "completion": p["chosen" if i % 3 else "rejected"], "label": i < 3}
        for i, p in enumerate(PAIRS)
    ]
    weights = {"desirable_weight": 0.7, "undesirable_weight": 1.4}
    trainer = build("KTO", models, tmp_path, rows, loss_type=loss_type, beta=BETA, **weights)
    batch, their_loss = theirs(trainer)

    policy, baseline = deepcopy(models[0]), torch.tensor(0.0)  # without a baseline it is APO-zero's
    if loss_type == "kto":
        mismatched = {key[3:]: value for key, value in batch.items() if key.startswith("KL_")}
        baseline = losses.kto_baseline(logratio(policy, models[1], mismatched))
        assert baseline > 0.1
    ratio = logratio(policy, models[1], batch)
    loss = losses.kto(ratio, batch["label"], baseline, beta=BETA, **weights)

    assert_same(trainer, their_loss, policy, loss.mean())


@pytest.mark.parametrize("margins", [None, [0.5, 0.0, 1.5, -1.0]])
@pytest.mark.parametrize("weight", [None, 0.1])
def test_a_reward_models_loss_is_trls(
    margins: list[float] | None, weight: float | None, tiny: Path, models: Models, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification

    with torch.random.fork_rng():  # the scoring head is new
        torch.manual_seed(0)
        scorer: Any = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1)
    scored = (scorer, None, models[2])
    marked = zip(PAIRS, margins or [], strict=False)
    rows = [{**pair, "margin": margin} for pair, margin in marked] or PAIRS
    trainer = build("Reward", scored, tmp_path, rows, center_rewards_coefficient=weight)
    batch, their_loss = theirs(trainer)

    margin = batch.pop("margin", torch.tensor(0.0))
    chosen, rejected = scorer(**batch).logits.squeeze(-1).chunk(2)
    loss = bradley_terry(chosen, rejected, margin=margin)
    loss = loss + (weight or 0.0) * centring(chosen, rejected)

    assert_same(trainer, their_loss, scorer, loss.mean())


def side(batch: Batch, name: str) -> Batch:
    """Return one side of a batch of TRL's experimental trainers, in the names of the others."""
    return {
        "input_ids": batch[f"{name}_input_ids"],
        "attention_mask": batch[f"{name}_attention_mask"],
        "completion_mask": batch[f"{name}_labels"] != -100,
    }


@pytest.mark.parametrize(
    ("loss_type", "loss", "named"),
    [
        ("simpo", partial(losses.simpo, gamma=0.5), {"simpo_gamma": 0.5}),
        # conservative DPO: of the pairwise trainers only CPO still smooths labels so
        ("sigmoid", partial(losses.dpo, probability=0.9), {"label_smoothing": 0.1}),
    ],
)
def test_losses_without_an_anchor_are_those_of_trls_cpo(
    loss_type: str,
    loss: Callable[..., Tensor],
    named: dict[str, Any],
    models: Models,
    tmp_path: Path,
) -> None:
    trainer = build("CPO", models, tmp_path, loss_type=loss_type, beta=BETA, cpo_alpha=0.0, **named)
    batch, their_loss = theirs(trainer)

    policy, mean = deepcopy(models[0]), loss_type == "simpo"
    chosen = completion_logp(policy, side(batch, "chosen"), mean=mean)
    rejected = completion_logp(policy, side(batch, "rejected"), mean=mean)

    assert_same(trainer, their_loss, policy, loss(chosen, rejected, beta=BETA).mean())


def test_orpo_is_trls(models: Models, tmp_path: Path) -> None:
    trainer = build("ORPO", models, tmp_path, beta=BETA)
    batch, their_loss = theirs(trainer)

    policy = deepcopy(models[0])
    chosen, rejected = side(batch, "chosen"), side(batch, "rejected")
    means = [completion_logp(policy, s, mean=True) for s in (chosen, rejected)]
    loss = losses.orpo(*means, beta=BETA)
    # TRL's likelihood term is a mean over all tokens of the chosen side, the prompts' included.
    logp = token_logp(policy, chosen)[chosen["attention_mask"][:, 1:].bool()]

    assert_same(trainer, their_loss, policy, loss.mean() - logp.mean())
