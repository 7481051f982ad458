"""The peers of training.py: a plain padded forward pass, and TRL's trainers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training_ours import taught
from training_work import BETA, CUDA, DEVICE, Side, Work, block

LORA: dict[str, Any] = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}

Inputs = Callable[[Work], dict[str, Any]]
"""Makes of a piece of work what a trainer's `compute_loss` takes."""


def padded(batch: Work, model: Path) -> Side:
    """Return transformers' forward pass on padded rows, with our loss code."""
    from peft import LoraConfig, get_peft_model

    from moot.training.model.rows import moved, rows
    from moot.training.model.types import Scores

    peft: Any = get_peft_model(_loaded(model), LoraConfig(task_type="CAUSAL_LM", **LORA))
    _touch(peft)
    pieces = batch.pieced()
    known = [(piece, *taught(piece)) for piece in pieces]
    # Of the tree's rows the loss reads what is no tree: the mask, and the anchor.
    frames = [moved(rows(said), DEVICE) for _, said, _ in known]

    def losses() -> Iterator[Tensor]:
        for (piece, _, mean), frame in zip(known, frames, strict=True):
            packed = frame
            if batch.preferences:
                with torch.no_grad(), peft.disable_adapter():
                    packed = replace(packed, anchor=_padded_logp(peft, piece))
            logp = _padded_logp(peft, piece)
            zeros = torch.zeros_like(logp)
            yield mean(Scores(logp, zeros, zeros), packed) / len(pieces)

    return Side(_learning(peft), losses, {})


def _padded_logp(peft: Any, piece: Work) -> Tensor:
    """Return (N, T) the log-probability of each completion's tokens."""
    prompts, prompt_mask = block(piece.prompts, left=True)
    replies, mask = block(piece.completions)
    logits = peft(
        input_ids=torch.cat([prompts, replies], 1),
        attention_mask=torch.cat([prompt_mask, mask], 1),
        logits_to_keep=replies.shape[1] + 1,
        use_cache=False,
    ).logits[:, :-1]
    flat = logits.float().flatten(0, 1)
    lost = F.cross_entropy(flat, replies.flatten(), reduction="none").view_as(replies)
    return -lost * mask


def trl(batch: Work, model: Path) -> Side:
    """Return TRL's own trainer."""
    return _trl(batch, model)


def liger(batch: Work, model: Path) -> Side:
    """Return TRL's own trainer, with Liger's kernels."""
    return _trl(batch, model, liger=True)


def _trl(batch: Work, model: Path, *, liger: bool = False) -> Side:
    build = _trl_dpo if batch.preferences else _trl_grpo
    trainer, inputs = build(batch, model, use_liger_kernel=liger)
    if liger:  # as the trainer does when its training starts
        from transformers.integrations.liger import apply_liger_kernel

        apply_liger_kernel(trainer.model, trainer.args.liger_kernel_config)
    trainer.current_gradient_accumulation_steps = batch.pieces
    trainer.model.train()
    _touch(trainer.model)

    def losses() -> Iterator[Tensor]:
        for piece in batch.pieced():
            yield trainer.compute_loss(trainer.model, inputs(piece))

    return Side(_learning(trainer.model), losses, {})


def _trl_grpo(batch: Work, model: Path, **named: Any) -> tuple[Any, Inputs]:
    import trl  # pyright: ignore[reportMissingImports]

    size = len(batch.prompts) // batch.pieces
    options = {
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": batch.pieces,
        "num_generations": size,
        "max_completion_length": max(map(len, batch.completions)),
        "loss_type": "grpo",
        "beta": 0.0,
        "num_iterations": 1,
    }
    rows = [{"prompt": "?"}] * size
    trainer = _trainer(trl.GRPOTrainer, trl.GRPOConfig, rows, model, options | named, _ungraded)

    def inputs(piece: Work) -> dict[str, Any]:
        prompts, prompt_mask = block(piece.prompts, left=True)
        replies, mask = block(piece.completions)
        return {
            "prompt_ids": prompts,
            "prompt_mask": prompt_mask,
            "completion_ids": replies,
            "completion_mask": mask,
            "advantages": torch.tensor(piece.advantages, device=DEVICE),
            "num_items_in_batch": mask.sum(),
        }

    return trainer, inputs


def _ungraded(completions: list[Any], **_: Any) -> list[float]:
    return [0.0] * len(completions)


def _trl_dpo(batch: Work, model: Path, **named: Any) -> tuple[Any, Inputs]:
    import trl  # pyright: ignore[reportMissingImports]

    half = len(batch.prompts) // 2
    options = {"per_device_train_batch_size": half, "beta": BETA, "loss_type": ["sigmoid"]}
    rows = [{"prompt": "?", "chosen": "a", "rejected": "b"}]
    trainer = _trainer(trl.DPOTrainer, trl.DPOConfig, rows, model, options | named)

    def inputs(piece: Work) -> dict[str, Any]:
        sides = (piece.prompts[:half], piece.completions[:half], piece.completions[half:])
        names = ("prompt_ids", "chosen_ids", "rejected_ids")
        pairs = [dict(zip(names, one, strict=True)) for one in zip(*sides, strict=True)]
        return {name: t.to(DEVICE) for name, t in trainer.data_collator(pairs).items()}

    return trainer, inputs


def _trainer(
    kind: Any, config: Any, rows: list[dict[str, str]], model: Path, named: Any, *rewards: Any
) -> Any:
    """Return TRL's trainer, which puts its adapter in itself: one given would be DPO's anchor."""
    from datasets import Dataset  # pyright: ignore[reportMissingImports]
    from peft import LoraConfig
    from transformers import AutoTokenizer

    return kind(
        _loaded(model),
        *rewards,
        args=config(
            output_dir=tempfile.gettempdir(),
            use_cpu=not CUDA,
            bf16=False,  # no autocast: the base has its bfloat16 on a GPU, the adapters float32
            gradient_checkpointing=False,
            report_to="none",
            **named,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(model),
        peft_config=LoraConfig(task_type="CAUSAL_LM", **LORA),
    )


def _loaded(model: Path) -> Any:
    """Return the base model as transformers has it: its own attention, through torch's kernels."""
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    number = torch.bfloat16 if CUDA else torch.float32
    loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=number, local_files_only=True)
    return loaded.to(DEVICE)


def _touch(model: Any) -> None:
    """Have all weights, and the code, in memory before it is measured; ours are checked so."""
    with torch.no_grad():
        model(input_ids=torch.ones(1, 2, dtype=torch.long, device=DEVICE))


def _learning(model: Any) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}
