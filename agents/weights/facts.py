"""What a model costs and is made of, told from the headers of its files: nothing is loaded."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from math import prod

from ..types import WIDTH, Dtype, Precision
from .catalogue import CATALOGUE
from .models import here
from .names import header

NOT_LINEAR = "embed", "wte", "wpe", "lm_head", ".experts."
NF4 = 0.516
"""The bytes of a number of 4 bits: a scale of 8 bits for 64 of them, and one of 32 for 256 of those
(Dettmers et al., 2023, arXiv:2305.14314)."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a model."""

    parameters: int
    download: int
    """Bytes still to be downloaded; 0: it is here."""
    config: Mapping[str, object] = field(default_factory=dict[str, object])
    """What its config.json says; empty: it isn't here."""
    linear: Mapping[str, int] = field(default_factory=dict[str, int])
    """For each name of its linear layers, inputs and outputs of all of them added up: an adapter
    of rank r has r times as many parameters.  Empty: it can't be told before it is here."""
    quantizable: int = 0
    """How many of the parameters are those of linear layers, the head apart."""

    def size(self, precision: Precision, computes: Dtype) -> float:
        """Return the bytes of its numbers in memory.

        Args:
            precision: what they are held in.
            computes: what is computed in, and what those are in that 4 bits don't hold.
        """
        small = self.quantizable if precision == "nf4" else 0
        return small * NF4 + (self.parameters - small) * WIDTH.get(precision, WIDTH[computes])


def facts(model: str) -> Facts | None:
    """Return what is known of `model`; `None`: it can't be told without downloading."""
    folder = here(model)
    if folder is None:
        named = [known for name, known in CATALOGUE.items() if model in (name, known.hub)]
        return Facts(named[0].parameters, named[0].download) if named else None
    try:
        files = list(folder.glob("*.safetensors"))
        told = {name: tensor for file in files for name, tensor in header(file).items()}
        shapes = {name: tensor["shape"] for name, tensor in told.items() if name != "__metadata__"}
        config = json.loads((folder / "config.json").read_bytes())
        linear = {name: shape for name, shape in shapes.items() if _is_linear(name, shape)}
        known = sum(starmap(_count, shapes.items())), 0, config, _ends(linear)
        return Facts(*known, sum(map(prod, linear.values())))
    except Exception:  # not safetensors: whoever loads it will say so
        return None


def _count(name: str, shape: Sequence[int]) -> int:
    """Return how many parameters a tensor is in memory; of MXFP4's two are in a byte."""
    packed = {"blocks": 2, "scales": 0}
    return prod(shape) * packed.get(name.rpartition("_")[2], 1)


def _is_linear(name: str, shape: Sequence[int]) -> bool:
    """Return whether it is a linear layer's weight; experts' are put together in memory."""
    return len(shape) == 2 and not any(other in name for other in NOT_LINEAR)


def _ends(linear: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Return inputs and outputs of linear layers, added up by their last name."""
    found: Counter[str] = Counter()
    for name, shape in linear.items():
        found[name.removesuffix(".weight").rpartition(".")[2]] += sum(shape)
    return dict(found)
