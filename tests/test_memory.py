"""A GPU's memory that runs out while weights learn: it is told with what to do about it."""

from pathlib import Path
from typing import Any, NoReturn

import pytest
import several_processes as jobs
import torch

from moot.agents.errors import MootError
from moot.training import fit, look
from moot.training.model import check
from moot.training.study import study

PLACES: dict[str, tuple[Any, str]] = {
    "checking the model": (check, "_found"),
    "looking before training": (look, "_known"),
    "a step": (fit, "_descend"),
}


def no_room(*_args: object, **_how: object) -> NoReturn:
    """Do as torch does on a GPU that is full; a CPU has no such error."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.25 GiB.")


@pytest.mark.parametrize("place", PLACES)
def test_the_user_is_told_what_needs_less(
    place: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*PLACES[place], no_room)

    with pytest.raises(MootError) as caught:
        list(study(jobs.job("cat", tiny, tmp_path), jobs.ROLLOUTS))

    text = str(caught.value)
    assert text.startswith("training: the GPU's memory ran out: lower fit.batch_tokens, set")
    assert "architecture" not in text
    assert text.endswith("(CUDA out of memory. Tried to allocate 1.25 GiB.)")
