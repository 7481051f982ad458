"""TF32 on a GPU: for what all weights learn by alone, and put back after it."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import several_processes as jobs
import torch

from moot.training import fit
from moot.training.model import architecture
from moot.training.model.learner import Learner
from moot.training.model.precision import tensor_cores
from moot.training.model.types import Rows, Scores
from moot.training.settings import Fit
from moot.training.study import study

CPU, GPU = torch.device("cpu"), torch.device("cuda")
WHOLE = Fit(lora=None)


def now() -> str:
    return torch.get_float32_matmul_precision()


@pytest.mark.parametrize(
    ("settings", "device", "expected"),
    [
        (WHOLE, GPU, "high"),
        (WHOLE, CPU, "highest"),
        (Fit(), GPU, "highest"),
        (Fit(lora=None, dtype="float32"), GPU, "highest"),
        (Fit(lora=None, dtype="bfloat16"), GPU, "highest"),
    ],
)
def test_it_is_for_all_weights_on_a_gpu_if_nobody_asks_for_other_numbers(
    settings: Fit, device: torch.device, expected: str
) -> None:
    def failing() -> None:
        with tensor_cores(settings, device):
            assert now() == expected
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()

    assert now() == "highest"


def test_steps_and_what_they_compare_with_have_it_and_checks_and_proofs_do_not(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, policy = architecture._found, Learner.policy  # pyright: ignore[reportPrivateUsage]
    checked: list[str] = []
    passes: list[tuple[bool, str]] = []

    def as_on_a_gpu(settings: Fit, _device: torch.device) -> AbstractContextManager[None]:
        return tensor_cores(settings, GPU)

    def check(*args: Any) -> torch.Tensor:
        checked.append(now())
        return found(*args)

    def forward(self: Learner, rows: Rows, **how: Any) -> Scores:
        passes.append((torch.is_grad_enabled(), now()))
        return policy(self, rows, **how)

    monkeypatch.setattr(fit, "tensor_cores", as_on_a_gpu)
    monkeypatch.setattr(architecture, "_found", check)
    monkeypatch.setattr(Learner, "policy", forward)

    between = [now() for _ in study(jobs.job("cat", tiny, tmp_path, lora=None), jobs.ROLLOUTS)]

    assert set(between) == {"highest"}
    assert set(checked) == {"highest"}
    steps = {precision for gradient, precision in passes if gradient}
    looks = [precision for gradient, precision in passes if not gradient]
    assert steps == {"high"}
    assert looks[0] == "high"  # the anchor's
    assert looks[-1] == "highest"  # a proof's second
    assert looks.count("highest") == 2
