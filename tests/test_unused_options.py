"""An option that changes nothing where it is set is refused; its default is not."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from moot.protocols.debate import Debate
from moot.protocols.mixture import Mixture
from moot.protocols.rubric import Rubric
from moot.protocols.synthesis import Synthesis
from moot.protocols.trial import Trial
from moot.training.methods.sft import SFT
from moot.training.policy_gradient.objective import Objective
from moot.training.settings import Fit, Guards

WRITTEN: dict[str, Any] = {"written": "[1] it is right"}
SHOWS: dict[str, Any] = {"talk": False, "file": "shows.jsonl"}
UNUSED: list[tuple[type, dict[str, Any], str]] = [
    (Synthesis, {"by": "critic", "temperature": 0.5}, "temperature"),
    (Synthesis, {"by": "critic", "max_tokens": 9}, "max_tokens"),
    (Mixture, {"by": "critic", "temperature": 0.5}, "temperature"),
    (Rubric, {"by": "critic", "max_tokens": 9}, "max_tokens"),
    (Rubric, {**WRITTEN, "weights": "signed"}, "weights"),
    (Rubric, {**WRITTEN, "criteria": 7}, "criteria"),
    (Rubric, {**WRITTEN, "by": "critic"}, "by"),
    (Rubric, {**WRITTEN, "source": "question"}, "source"),
    (Debate, {"redraw": "round"}, "redraw"),
    (Debate, {"topology": {"kind": "ring"}, "topology_seed": 1}, "topology_seed"),
    (Trial, {"form": "consultancy", "speak": "in_turn"}, "speak"),
    (Fit, {"shard": True}, "shard"),
    (Fit, {"graphs": True, "device": "cpu"}, "graphs"),
    (Fit, {"graphs": True, "lora": None}, "graphs"),
    (Fit, {"graphs": True, "recompute": True}, "graphs"),
    (Fit, {"graphs": True, "shard": True, "processes": 2}, "graphs"),
    (Fit, {"graphs": True, "quantized": True}, "graphs"),
    (Fit, {"quantized": True, "lora": None}, "quantized"),
    (Fit, {"quantized": True, "shard": True, "processes": 2}, "quantized"),
    (Objective, {"critic": {}, "baseline": "others"}, "baseline"),
    (Objective, {"critic": {}, "scale": "none"}, "scale"),
    (Objective, {"like": "ppo", "baseline": "group"}, "baseline"),
    (Guards, {"then": "rollback"}, "then"),
    (SFT, {**SHOWS, "on": "best"}, "on"),
    (SFT, {**SHOWS, "least": 0.5}, "least"),
]


@pytest.mark.parametrize(("protocol", "settings", "option"), UNUSED)
def test_an_option_that_means_nothing_is_refused(
    protocol: type, settings: dict[str, Any], option: str
) -> None:
    read: TypeAdapter[Any] = TypeAdapter(protocol)

    with pytest.raises(ValidationError, match=f"`{option}` means nothing with(out)? "):
        read.validate_python(settings)
    usual = {name: value for name, value in settings.items() if name != option}
    written = read.dump_python(read.validate_python(usual))
    assert read.validate_python(written) == read.validate_python(usual)
