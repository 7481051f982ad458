"""The optimiser of a training: AdamW, its warm-up, and checkpoints of how far it came."""

from pathlib import Path

import torch

from .checkpoint import Progress, latest, save
from .model import sharding
from .model.learner import Learner
from .settings import Fit


class Optimiser:
    """Takes a cycle's steps, from where the cycle before ended or a checkpoint was left."""

    def __init__(self, learner: Learner, settings: Fit, start: Progress, folder: Path) -> None:
        """Put the learner where it was left, if it was.

        Args:
            learner: holding the weights that spoke.
            settings: how fast, and how often a checkpoint is kept.
            start: how the cycle before ended.
            folder: where checkpoints are, and go.
        """
        self.done = 0
        """Steps that were taken in this cycle."""
        self._learner = learner
        self._parameters = learner.parameters()
        self._settings = settings
        self._start = start
        self._folder = folder
        rollback = settings.guards.then == "rollback"
        self._initial = {n: t.clone() for n, t in learner.tensors().items()} if rollback else {}
        self._adamw = torch.optim.AdamW(
            sharding.groups(self._parameters.values()),
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self._kept: int | None = None
        resumed = latest(folder)
        if resumed is not None:
            self.done = self._kept = resumed.step
            assert resumed.folder is not None, "a checkpoint lies in a folder"
            learner.read(resumed.folder)
        (resumed or start).restore(self._adamw, self._parameters)

    def step(self) -> None:
        """Follow the gradient that lies in the parameters."""
        taken, warmup = self._start.taken + self.done, self._settings.warmup_steps
        for group in self._adamw.param_groups:
            group["lr"] = self._settings.lr * min(1.0, (taken + 1) / (warmup + 1))
        self._adamw.step()
        self._learner.follow()
        self.done += 1

    def keep(self) -> None:
        """Write a checkpoint of the steps that were taken, if there is none yet."""
        if self.done and self._kept != self.done:
            self._save(self.done)

    def keep_some(self) -> None:
        """Do so where it is due."""
        if self.done % self._settings.checkpoint_every == 0:
            self.keep()

    def roll_back(self) -> None:
        """Go back to where the cycle began; needs guards that say `rollback`."""
        self._learner.set(self._initial)
        self._adamw.state.clear()
        self._start.restore(self._adamw, self._parameters)
        self.done = 0

    def end(self, steps: int) -> None:
        """Write the last checkpoint, as that of one who has taken all `steps`."""
        if self._kept != steps:
            self._save(steps)

    def _save(self, step: int) -> None:
        taken = self._start.taken + self.done
        save(self._folder, self._learner, self._adamw, step=step, taken=taken)
        self._kept = step
