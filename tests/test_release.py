"""A run's weights come out as a model that transformers loads, with a card."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import BuildTiny
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from moot.agents.embedded.adapters import Adapters
from moot.agents.errors import InputError, MootError
from moot.agents.types import Weights
from moot.agents.weights.pretrained import load
from moot.experiments.main import main
from moot.experiments.release import release

EXPERIMENT = """\
name: released
cycles: 1
engines:
  main: {{kind: local, model: {model}, device: cpu}}
population:
  - {{name: pupil, count: 2, learns: true, adapters: each, sampling: {{max_tokens: 2}}}}
tasks: {{kind: inline, verifier: exact, held_out: 1, per_cycle: 4, items: [{items}]}}
protocol: {{kind: sample, samples: 3}}
method: {method}
fit: {{lr: 1e-2, device: cpu, lora: {lora}}}
evaluation: {{samples: 2, controls: false, baseline: false}}
"""
CONFIGS = ("config.json", "adapter_config.json")
IDS = torch.tensor([[5, 6, 7, 8]])


def played(
    folder: Path, model: Path, lora: str, *sets: str, method: str = "{kind: intuitor}"
) -> Path:
    items = ", ".join(f"{{prompt: question {i}, answer: a}}" for i in range(5))
    filled = EXPERIMENT.format(model=model, items=items, lora=lora, method=method)
    (folder / "x.yaml").write_text(filled)
    out = folder / "run"
    changes = (word for one in sets for word in ("--set", one))
    with pytest.raises(SystemExit) as end:
        main(["run", str(folder / "x.yaml"), "--out", str(out), *changes])
    assert end.value.code == 0
    return out


@pytest.mark.parametrize(
    ("lora", "quantized"), [("{rank: 4}", False), ("{rank: 4}", True), ("null", False)]
)
def test_what_is_exported_speaks_as_what_was_learnt(
    tiny: Path, tmp_path: Path, lora: str, quantized: bool
) -> None:
    how = f"quantized={str(quantized).lower()}"
    run = played(tmp_path, tiny, lora, f"engines.main.{how}", f"fit.{how}")

    found = release(run, "pupil-1", tmp_path / "model")

    assert (found.name, found.version) == ("pupil-1", 1)
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    served = Adapters(load(tiny, "float32", "cpu", quantized=quantized))
    served.load(Weights("pupil-1", 1, found.path))
    with torch.no_grad():
        expected = served.speaking("pupil-1")(IDS).logits
        base = load(tiny, "float32", "cpu", quantized=quantized)(IDS).logits
        torch.testing.assert_close(exported(IDS).logits, expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(expected, base, atol=1e-3)
    assert AutoTokenizer.from_pretrained(tmp_path / "model").chat_template


def test_settings_that_transformers_loads_and_does_not_write_are_left_out(
    build_tiny: BuildTiny, tmp_path: Path
) -> None:
    model = build_tiny(tmp_path / "odd")
    file = model / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "pad_token_id": -1}))

    load(model, "float32", "cpu").save_pretrained(tmp_path / "saved")

    found = GenerationConfig.from_pretrained(tmp_path / "saved")
    assert (found.pad_token_id, found.eos_token_id) == (None, 2)


@pytest.mark.parametrize("lora", ["{rank: 4}", "null"])
def test_a_temperature_without_sampling_is_no_hindrance(
    build_tiny: BuildTiny, tmp_path: Path, lora: str
) -> None:
    model = build_tiny(tmp_path / "odd")
    file = model / "generation_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "temperature": 0.6}))

    release(played(tmp_path, model, lora), "pupil-1", tmp_path / "model")

    found = GenerationConfig.from_pretrained(tmp_path / "model")
    assert (found.temperature, found.do_sample) == (0.6, True)


def test_the_card_says_what_the_run_was_and_what_was_measured(tiny: Path, tmp_path: Path) -> None:
    run = played(tmp_path, tiny, "{rank: 4}")
    to = tmp_path / "model"
    with pytest.raises(SystemExit) as end:
        main(["export", str(run), "--kind", "model", "--weights", "pupil-0", "--to", str(to)])
    assert end.value.code == 0

    card = (tmp_path / "model/README.md").read_text()
    assert f"base_model: {tiny}" in card
    assert "method `intuitor` on what the protocol `sample` gave,\nin 1 cycle," in card
    assert "| accuracy | 1 |" in card
    assert "@" not in card.partition("## The experiment")[0]  # its own figures, and no other's
    assert "kind: intuitor" in card.split("```yaml")[1]


@pytest.mark.parametrize(
    ("method", "how"),
    [
        ("{kind: sft, file: x.jsonl, talk: false}", "`sft` on the file `x.jsonl`"),
        (
            "{kind: rlhf, file: x.jsonl}",
            "`rlhf` on what the protocol `sample` gave and the file `x.jsonl`",
        ),
    ],
)
def test_the_card_names_the_file_that_was_learnt_from(
    tiny: Path, tmp_path: Path, method: str, how: str
) -> None:
    row = {"prompt": "question 1", "completion": "b", "chosen": "b", "rejected": "c"}
    (tmp_path / "x.jsonl").write_text(json.dumps(row))

    release(played(tmp_path, tiny, "{rank: 4}", method=method), "pupil-0", tmp_path / "model")

    assert f"method {how},\nin 1 cycle," in (tmp_path / "model/README.md").read_text()


@pytest.fixture(scope="module")
def twice(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run of two cycles; not to be written to."""
    return played(tmp_path_factory.mktemp("twice"), tiny, "{rank: 4}", "cycles=2")


def test_an_earlier_version_is_exported_with_a_card_of_its_own(
    twice: Path, tiny: Path, tmp_path: Path
) -> None:
    to, which = tmp_path / "model", ("--weights", "pupil-1", "--cycle", "1")
    with pytest.raises(SystemExit) as end:
        main(["export", str(twice), "--kind", "model", *which, "--to", str(to)])
    assert end.value.code == 0

    exported = AutoModelForCausalLM.from_pretrained(to, dtype=torch.float32)
    served = Adapters(load(tiny, "float32", "cpu"))
    with torch.no_grad():
        found = exported(IDS).logits
        for version in (1, 2):
            learnt = twice / f"cycle-00{version - 1}/weights/pupil-1"
            served.load(Weights("pupil-1", version, learnt))
            spoken = served.speaking("pupil-1")(IDS).logits
            assert torch.allclose(found, spoken, atol=1e-5) == (version == 1)
    card = (to / "README.md").read_text()
    assert "# released: pupil-1, version 1\n" in card
    assert "in the first of 2 cycles, seed 0." in card
    assert [f"| accuracy | {version} |" in card for version in (0, 1, 2)] == [True, True, False]


def test_another_experiment_begins_from_an_earlier_version(twice: Path, tmp_path: Path) -> None:
    release(twice, "pupil-0", tmp_path / "model", cycle=1)

    again = played(tmp_path, tmp_path / "model", "{rank: 2}")

    assert (again / "cycle-000/weights/pupil-0").is_dir()


def test_the_version_after_a_cycle_is_the_last_that_was_learnt_by_then(
    twice: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(twice, tmp_path / "run")
    shutil.rmtree(run / "cycle-000/weights/pupil-0")  # as where its first cycle taught it nothing
    shutil.rmtree(run / "cycle-001/weights/pupil-1")

    assert release(run, "pupil-1", tmp_path / "one", cycle=2).version == 1
    assert release(run, "pupil-0", tmp_path / "two", cycle=2).version == 2
    assert "in the first of 2 cycles" in (tmp_path / "one/README.md").read_text()
    assert "in 2 cycles" in (tmp_path / "two/README.md").read_text()
    with pytest.raises(InputError, match=r"--cycle 1: 'pupil-0' had learnt nothing .*--cycle 2$"):
        release(run, "pupil-0", tmp_path / "three", cycle=1)


def test_a_cycle_of_which_there_are_no_weights_is_told(twice: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--cycle 3: .* aren't finished here; there are 1, 2$"):
        release(twice, "pupil-0", tmp_path / "model", cycle=3)
    with pytest.raises(InputError, match=r"--cycle 0: 'pupil-0' had learnt nothing .*--cycle 1$"):
        release(twice, "pupil-0", tmp_path / "model", cycle=0)
    run = shutil.copytree(twice, tmp_path / "run")
    shutil.rmtree(run / "cycle-001/weights")  # it is being learnt
    with pytest.raises(InputError, match=r"--cycle 2: .* aren't finished here; there are 1$"):
        release(run, "pupil-0", tmp_path / "model", cycle=2)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("kind", ["rollouts", "spans"])
def test_a_cycle_is_of_a_model_alone(
    twice: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    to = ("--to", str(tmp_path / "x.parquet"))
    with pytest.raises(SystemExit) as end:
        main(["export", str(twice), "--kind", kind, "--cycle", "1", *to])

    assert end.value.code == 2
    assert "--cycle 1: goes with --kind model" in capsys.readouterr().err


def test_what_cannot_be_exported_is_told(tiny: Path, tmp_path: Path) -> None:
    run = played(tmp_path, tiny, "{rank: 4}")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()

    with pytest.raises(InputError, match="say which: pupil-0, pupil-1"):
        release(run, None, tmp_path / "model")
    with pytest.raises(InputError, match="no weights 'pupil-2'; did you mean"):
        release(run, "pupil-2", tmp_path / "model")
    with pytest.raises(InputError, match="is there already"):
        release(run, "pupil-0", tmp_path / "full")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("lora", ["{rank: 4}", "null"])
def test_damaged_weights_are_not_exported(tiny: Path, tmp_path: Path, lora: str) -> None:
    run = played(tmp_path, tiny, lora)
    weights = run / "cycle-000/weights/pupil-0"
    [model] = weights.glob("*.safetensors")
    [settings] = [weights / name for name in CONFIGS if (weights / name).is_file()]

    for file in (model, settings):
        whole = file.read_bytes()
        file.write_bytes(b"{")
        with pytest.raises(MootError, match=f"^{file}: is damaged: "):
            release(run, "pupil-0", tmp_path / "model")
        file.unlink()
        with pytest.raises(MootError, match=f"^{file}: is gone; "):
            release(run, "pupil-0", tmp_path / "model")
        file.write_bytes(whole)
    assert not list(tmp_path.glob("*model*"))


def test_a_run_that_learnt_nothing_has_no_model(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(MootError, match="nothing was learnt"):
        release(played(tmp_path, tiny, "{rank: 4}", "cycles=0"), None, tmp_path / "model")
