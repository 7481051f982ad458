"""A learner: a base model with what learns in it: one LoRA adapter, or all of its weights."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn

from moot.agents import self_reward
from moot.agents.errors import MootError
from moot.agents.weights.models import known_as
from moot.agents.weights.names import ADAPTER_CONFIG
from moot.agents.weights.pretrained import context

from .. import world
from ..memory import release
from ..settings import Fit
from . import sharding
from .architecture import base
from .forward import form, score, states
from .graphs import Graphs, recordable
from .lora import fresh
from .masters import Masters
from .stored import CONFIG, HEAD, SCALAR, reworded, tensors
from .types import Form, Rows, Scores


class Learner:
    """What learns on a base model: `policy` speaks with it, `anchor` is the base alone."""

    def __init__(
        self,
        base: Any,
        fit: Fit,
        weights: Path | None,
        seed: int,
        model: Path,
        *,
        scalar: bool = False,
    ) -> None:
        """Put a fresh LoRA, or the `weights` of a version, into `base`.

        A fresh adapter's output is exactly zero, so version 0 of any weights is the base itself.

        Args:
            base: as the function `base` loads it; it is changed in place, until `close`.
            fit: says what learns.
            weights: the folder of a version; `None`: nothing was learnt yet.
            seed: of a fresh adapter.
            model: the folder that `base` was loaded from.
            scalar: whether a scalar head learns too.
        """
        self.base = base
        self.device: torch.device = base.device
        self._model, self._fit = model, fit
        self._peft = None if fit.lora is None else fresh(base, fit.lora, seed, model)
        rounded = fit.lora is None and base.dtype != torch.float32
        self._masters = Masters(base) if rounded else None
        self.scalar = _scalar(base, seed) if scalar else None
        # The anchor's pass is another, without the adapter.
        self._graphs = [Graphs(learns=True), Graphs(learns=False)] if recordable(fit, base) else []
        self._through = self._graphs[0] if self._graphs else states
        self.verdicts = None if weights is None else self_reward.read(weights)
        """How the policy's verdicts on replies are read; `None`: it never learnt to give any."""
        if weights is not None:
            self.read(weights)

    @property
    def context(self) -> int | None:
        """The most tokens that the model reads at once; `None`: it has no bound."""
        return context(self.base)

    @property
    def form(self) -> Form:
        """The form in which rows go through the model."""
        return form(self.base)

    def policy(self, rows: Rows, *, entropy: bool = False) -> Scores:
        """Return what the model as it is thinks of the rows, which are on its device.

        Args:
            rows: of a batch.
            entropy: whether the entropies carry a gradient.
        """
        scored = getattr(self.base, "scored", partial(score, self.base))
        return scored(rows, bonus=entropy, scalar=self.scalar, through=self._through)

    @contextmanager
    def anchored(self) -> Generator[None]:
        """While this lasts, `policy` is the anchor: the base as it was before it ever learnt."""
        if self._peft is not None:
            through = self._through
            self._through = self._graphs[1] if self._graphs else states
            try:
                with self._peft.disable_adapter():
                    yield
            finally:
                self._through = through
            return
        kept = self.base
        self.base = base(self._model, self._fit.model_copy(update={"recompute": False}))
        try:
            yield
        finally:
            self.base = kept
            release()

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return what learns, by name; it is float32."""
        named = dict((self._masters or self._peft or self.base).named_parameters())
        if self.scalar is not None:
            named |= {f"{SCALAR}.{name}": p for name, p in self.scalar.named_parameters()}
        return {name: p for name, p in named.items() if p.requires_grad}

    def tensors(self) -> Mapping[str, Tensor]:
        """Return what learns under the names that PEFT files, or that the model in memory has."""
        return {**self._body(), **self._head()}

    def _body(self) -> Mapping[str, Tensor]:
        """Return what learns but for the scalar head."""
        if self._peft is not None:
            return get_peft_model_state_dict(self._peft)
        return self.base.state_dict() if self._masters is None else self._masters.state()

    def _head(self) -> dict[str, Tensor]:
        """Return the scalar head's tensors, if there is one."""
        state = {} if self.scalar is None else self.scalar.state_dict()
        return {f"{SCALAR}.{name}": tensor for name, tensor in state.items()}

    def fingerprint(self) -> Tensor:
        """Return sums that differ, but for a freak, as soon as anything was learnt."""
        with torch.no_grad():
            doubles = (t.detach().double() for t in self.parameters().values())  # one at a time
            sums = [sharding.whole(s) for t in doubles for s in (t.sum(), t.square().sum())]
        return torch.tensor(sums)

    def read(self, folder: Path) -> None:
        """Replace what learns by what `save` wrote to `folder`; all processes must ask.

        Where it is divided over them the one that leads reads it.

        Raises:
            MootError: a file is gone or damaged, or it is of another model.
        """
        scalar = self.scalar is not None
        if not sharding.divided(self.parameters().values()):
            self.set(tensors(folder, scalar=scalar))
            return
        found: dict[str, Tensor] = {}

        def find() -> None:
            found.update(tensors(folder, scalar=scalar))
            self._fit_in(found)

        world.led(find)
        with torch.no_grad():
            for name, own in self.tensors().items():
                own.copy_(sharding.handed(found.pop(name, None), own))

    def set(self, tensors: Mapping[str, Tensor]) -> None:
        """Replace what learns by `tensors`, as the method of that name returned them.

        Raises:
            MootError: they are of another model.
        """
        self._fit_in(tensors)
        if self.scalar is not None:
            names = self.scalar.state_dict()
            self.scalar.load_state_dict({name: tensors[f"{SCALAR}.{name}"] for name in names})
        if self._peft is not None:
            set_peft_model_state_dict(self._peft, _bodily(tensors))
            return
        own = self._body()
        with torch.no_grad():
            for name in own:
                own[name].copy_(tensors[name])
        self.follow()

    def _fit_in(self, tensors: Mapping[str, Tensor]) -> None:
        """Raise where they aren't those of the body that learns here."""
        both = _bodily(tensors), self._body()
        there, here = ({(name, t.shape) for name, t in some.items()} for some in both)
        if unlike := [name for name, _ in sorted(there ^ here)]:
            raise MootError(f"{self._model}: weights of another model: {unlike[0]}")

    def follow(self) -> None:
        """Compute with what the parameters are, now that they are others."""
        if self._masters is not None:
            self._masters.round()

    def save(self, folder: Path) -> None:
        """Write what learns to `folder`, in PEFT's layout or in transformers'.

        All processes must ask; the one that leads writes.
        """
        state = None if self._masters is None else self._masters.state()
        if self._peft is None and sharding.divided(self.base.parameters()):
            state = sharding.collected(self.base.state_dict(keep_vars=True))
        if not world.leads():
            return
        if self._peft is not None:
            self._peft.save_pretrained(str(folder), safe_serialization=True)
            (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
            # In memory it stays the folder, for PEFT looks its files up whenever it collects one.
            reworded(folder / ADAPTER_CONFIG, base_model_name_or_path=known_as(self._model))
        else:
            self.base.save_pretrained(str(folder), max_shard_size="1TB", state_dict=state)
            if self._masters is not None:
                reworded(folder / CONFIG, dtype="float32")  # not what the model computes in
        if self.verdicts is not None:
            self_reward.write(folder, self.verdicts)
        if self.scalar is not None:
            (folder / HEAD).parent.mkdir()
            save_file(self._head(), folder / HEAD)

    def close(self) -> Any:
        """Return the base alone, as it was, for the next learner; nobody's, if all of it learnt."""
        if self._peft is None:
            return None
        for graphs in self._graphs:
            graphs.close()
        tuner: Any = self._peft.base_model
        return tuner.unload()


def _bodily(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return them without those of a scalar head."""
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(SCALAR)}


def _scalar(base: Any, seed: int) -> nn.Linear:
    """Return a fresh scalar head, in float32."""
    width = base.get_output_embeddings().weight.shape[1]
    found = nn.Linear(width, 1, device=base.device, dtype=torch.float32)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        found.weight.copy_(torch.randn(1, width, generator=draw) / (width + 1) ** 0.5)
        found.bias.zero_()
    return found
