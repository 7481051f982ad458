"""Which examples each step of a training learns from."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

from .data.examples import Example
from .data.filed import Filed
from .settings import Fit


@dataclass(frozen=True)
class Some(Sequence[Example]):
    """Some of the examples: where they are found, until they are asked for."""

    examples: Sequence[Example]
    places: tuple[int, ...]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.places)

    @overload
    def __getitem__(self, at: int) -> Example: ...
    @overload
    def __getitem__(self, at: slice) -> "Some": ...
    def __getitem__(self, at: "int | slice") -> "Example | Some":
        """Return one of them, or some."""
        if isinstance(at, slice):
            return Some(self.examples, self.places[at])
        return self.examples[self.places[at]]


def schedule(examples: Sequence[Example], settings: Fit, seed: int) -> list[Some]:
    """Return the examples of each step: whole episodes, in a seeded order, `epochs` times over.

    Those that teach nothing are left out, and with them goes the work.
    """
    groups: dict[str, list[int]] = {}
    if isinstance(examples, Filed):
        outline = zip(examples.episodes, examples.teaches, strict=True)
    else:
        outline = ((example.episode, example.teaches) for example in examples)
    for i, (episode, teaches) in enumerate(outline):
        if teaches:
            groups.setdefault(episode, []).append(i)
    order = random.Random(seed)
    steps: list[Some] = []
    for _ in range(settings.epochs):
        names = sorted(groups)
        order.shuffle(names)
        chunks = [names[i : i + settings.groups] for i in range(0, len(names), settings.groups)]
        places = [tuple(i for name in chunk for i in groups[name]) for chunk in chunks]
        steps += [Some(examples, some) for some in places]
    return steps
