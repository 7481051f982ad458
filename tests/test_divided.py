"""Models divided over two and three real processes, on the CPU, beside the same in one."""

import json
from pathlib import Path
from typing import Any

import divided_processes as divided
import pytest
import torch
from conftest import BuildTiny
from row_alone import RECURRENT
from workers import run

from moot.training.model.architecture import base
from moot.training.model.forward import attention

LONG = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 4}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "with-states": ("lfm2", RECURRENT["lfm2"]),
    "layers-in-layers": ("mamba", {}),
    "a-buffer-by-two-names": (
        "phi3",
        {
            "rope_parameters": {
                **LONG,
                "long_factor": [2.0] * 4,
                "original_max_position_embeddings": 128,
            }
        },
    ),
}
"""Architectures, and what is to be otherwise with them."""
SHARED: dict[str, Any] = {
    "num_hidden_layers": 4,
    "layers_block_type": ["mamba", "hybrid"] * 2,
    "num_mem_blocks": 1,
    "num_key_value_heads": 4,
    "mamba_d_state": 8,
    "mamba_ngroups": 1,
    "n_mamba_heads": 4,
}


@pytest.fixture(scope="module", params=[2, 3])
def several(
    request: pytest.FixtureRequest,
    tiny: Path,
    build_tiny: BuildTiny,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """What so many processes found; three divide no tensor of the model evenly."""
    folder = tmp_path_factory.mktemp("divided")
    build_tiny(folder / "shared", architecture="zamba2", **SHARED)
    for name, (kind, how) in KINDS.items():
        build_tiny(folder / "kinds" / name, architecture=kind, **how)
    run(request.param, divided.__file__, tiny, folder)
    return folder


def found(several: Path, what: str) -> list[Any]:
    """What each process found, the one that leads first."""
    files = sorted(several.glob("found-*.json"))
    assert len(files) > 1
    return [json.loads(file.read_text())[what] for file in files]


def test_a_layer_is_gathered_at_a_time(several: Path) -> None:
    lead, *others = found(several, "layers")

    assert lead == ["", "model.layers.0", "model.layers.1"]
    assert others == [lead] * len(others)


@pytest.mark.parametrize("name", KINDS)
def test_how_rows_go_through_a_model_all_processes_are_told(name: str, several: Path) -> None:
    way = attention(base(several / "kinds" / name, divided.FIT))

    for ways in found(several, "ways"):
        assert ways[name] == [way, way]


@pytest.mark.parametrize("name", KINDS)
def test_a_model_of_any_kind_is_divided_as_it_is(name: str, several: Path) -> None:
    expected = torch.tensor(divided.thought(several / "kinds" / name))

    for numbers in found(several, "thought"):
        torch.testing.assert_close(torch.tensor(numbers[name]), expected, atol=1e-5, rtol=0)


def test_layers_that_share_weights_are_refused_in_all_processes(several: Path) -> None:
    for said in found(several, "refused"):
        assert said == "fit.shard: layers that share weights can't be divided"


def test_the_process_that_leads_alone_reads_what_is_divided(several: Path) -> None:
    lead, *others = found(several, "reads")

    assert lead == [1, 1]
    assert others == [[0, 0]] * len(others)
