"""The `moot` command: quick to answer, plain in what it says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from moot.experiments.main import main

EXPERIMENT = """\
name: planned
cycles: 3
engines:
  main: {kind: scripted, lines: ["1", "2"], model: smollm2-135m-instruct}
population:
  - {name: solver, count: 4, learns: true, sampling: {max_tokens: 10}}
  - {name: writer, role: critic, sampling: {max_tokens: 20}}
tasks:
  kind: inline
  verifier: number
  held_out: 2
  per_cycle: 2
  items:
    - {prompt: a, answer: 1}
    - {prompt: b, answer: 2}
    - {prompt: c, answer: 3}
    - {prompt: d, answer: 4}
protocol: {kind: synthesis, by: critic}
method: {kind: cat}
evaluation: {samples: 5, baseline_votes: 6}
"""


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0
    return capsys.readouterr().out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    found = said(capsys, "--help")

    for command in ("run", "plan", "report", "models", "schema"):
        assert f"  {command} " in found


@pytest.mark.parametrize("command", ["--help", "plan x.yaml", "schema", "models"])
def test_nothing_heavy_is_imported_before_it_is_needed(command: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(EXPERIMENT)
    script = (
        "import sys\n"
        "from moot.experiments.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'transformers', 'vllm', 'scipy', 'pyarrow'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, *command.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


WITHOUT_TORCH = """\
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "peft", "accelerate"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from moot.experiments.main import main
main(["run", "x.yaml", "--out", "out"])
"""


def test_a_run_in_which_nobody_learns_needs_no_torch(tmp_path: Path) -> None:
    cut = EXPERIMENT.replace("learns: true, ", "").replace("method: {kind: cat}\n", "")
    (tmp_path / "x.yaml").write_text(cut.replace(", baseline_votes: 6", ""))

    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_plan_counts_what_would_be_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_text(EXPERIMENT)

    found = said(capsys, "plan", str(tmp_path / "x.yaml"))

    assert "agents      policy ×4, critic ×1" in found
    assert "learns      solver: 4 agents, LoRA of rank 16" in found
    assert "tasks       2 to learn from, 2 held out" in found
    assert "calls       10 a cycle (solver 8, writer 2)" in found
    # 3 cycles of 10; 4 evaluations of 2 tasks with 5 answers each; 6 votes on 2 tasks.
    told = ("10 an evaluation", "at most 12 for the untrained model's vote", "82 in all")
    assert "\n            ".join(told) in found
    # A writer's reply may have 20 tokens: 6 of them; the other 76 have 10 at most.
    assert "tokens      at most 880 generated" in found
    assert "controls    10 calls for the protocol on the held-out tasks; then" in found
    assert "at most 1000 of each policy to a task" in found
    assert "by judges" not in found
    verdicts = said(capsys, "plan", str(tmp_path / "x.yaml"), "--set", "method={kind: laser}")
    assert (
        "10 an evaluation, and at most 10 verdicts after a cycle\n            at most 12 for"
        in verdicts
    )
    assert "112 in all" in verdicts
    assert "memory      main: 135 M parameters: 0.5 GiB trained" in found
    assert "disk        solver: 3 versions with optimiser states" in found


def test_a_plan_counts_what_all_weights_need_beside_themselves(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_text(EXPERIMENT)
    local = "engines.main={kind: local, model: smollm2-135m-instruct, dtype: float32}"
    both = [
        said(capsys, "plan", str(tmp_path / "x.yaml"), "--set", local, "--set", f"fit.lora={lora}")
        for lora in ("null", "{rank: 16}")
    ]

    # 135 M of 4 bytes are .5 GiB: a gradient and two moments of each; and beside the base the
    # engine holds what was learnt, whole.
    sizes = "1.0 GiB served, 0.5 GiB trained, 1.5 GiB for gradients and the optimiser"
    assert f"memory      main: 135 M parameters: {sizes}, and activations" in both[0]
    assert "135 M parameters: 0.5 GiB served, " in both[1]
    assert "1.5 GiB" not in both[1]
    rounded = ["--set", local, "--set", "fit.lora=null", "--set", "fit.dtype=bfloat16"]
    sizes = "1.0 GiB served, 0.3 GiB trained, 2.0 GiB for what learns, gradients and the optimiser"
    assert sizes in said(capsys, "plan", str(tmp_path / "x.yaml"), *rounded)
    rounded += ["--set", "fit.guards={kl: 1, then: rollback}"]
    kept = said(capsys, "plan", str(tmp_path / "x.yaml"), *rounded)
    assert sizes.replace("2.0", "2.5") in kept


@pytest.mark.parametrize(
    ("lora", "shard", "each", "machine"),
    [
        (
            "null",
            True,
            "0.3 GiB trained, 0.8 GiB for",
            "0.5 GiB as it loads the model, 1.5 GiB as it writes",
        ),
        ("null", False, "0.5 GiB trained, 1.5 GiB for", None),
        ("{rank: 16}", True, "0.3 GiB trained, 0.1 GiB for", "0.5 GiB as it loads the model\n"),
        ("{rank: 16}", False, "0.5 GiB trained, 0.1 GiB for", None),
    ],
)
def test_a_plan_tells_what_each_of_several_processes_holds(
    lora: str,
    shard: bool,
    each: str,
    machine: str | None,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "x.yaml").write_text(EXPERIMENT)
    fit = f"fit={{processes: 2, shard: {str(shard).lower()}, lora: {lora}, dtype: float32}}"

    found = said(capsys, "plan", str(tmp_path / "x.yaml"), "--set", fit)

    # The base is divided where the model is sharded, and an adapter isn't.
    assert f"each of 2 processes, on a GPU of its own if there are any: {each}" in found
    assert ("and a layer at a time whole" in found) == shard
    assert "machine's memory" in found if machine else "machine's memory" not in found
    # What is written is three times .5 GiB: the weights and two moments of each.
    assert machine is None or f"one of them, of the machine's memory, at most {machine}" in found


def test_a_plan_tells_judges_and_a_reward_model_apart(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    judged = EXPERIMENT.replace("{kind: synthesis, by: critic}", "{kind: judged}")
    judged = judged.replace("{kind: cat}", "{kind: rlaif}").replace("critic", "judge")
    (tmp_path / "x.yaml").write_text(judged)

    found = said(capsys, "plan", str(tmp_path / "x.yaml"))

    # 4 answers of a task make 6 pairs, each asked in both orders, and of who can't be read again.
    assert f"{3 * 2 * 24 * 20} of these by judges, far fewer if they only choose" in found
    assert "before them, in the same memory, a reward model, LoRA of rank 16" in found
    solver, judge = re.findall(r"disk +(.+): (3 versions with optimiser states, .+)", found)
    assert (solver[0], judge[0]) == ("solver", "reward model on smollm2-135m-instruct")
    assert solver[1] == judge[1]


def test_a_plan_knows_layers_that_are_named_with_what_they_are_part_of(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_text(EXPERIMENT)
    sizes: list[str] = []
    for targets in ("[q_proj]", "[self_attn.q_proj]"):
        lora = f"fit.lora={{targets: {targets}}}"
        sizes += re.findall(
            "[0-9]+ MB each", said(capsys, "plan", str(tmp_path / "x.yaml"), "--set", lora)
        )

    assert len(sizes) == 2
    assert sizes[0] == sizes[1]


def test_a_plan_says_what_the_words_would_cost(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    price = "price: {tokens_in: 250, tokens_out: 1000}, model"
    (tmp_path / "x.yaml").write_text(EXPERIMENT.replace("model", price))

    found = said(capsys, "plan", str(tmp_path / "x.yaml"))

    # 880 tokens, at 1000 for a million of them.
    assert "cost        main: at most 0.88 for these, and 250 per million prompt tokens" in found


def test_the_schema_is_json_for_an_editor(capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(said(capsys, "schema"))

    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"name", "engines", "population", "tasks", "protocol"}
    by_name, by_settings = schema["$defs"]["CaT"]["properties"]["objective"]["anyOf"]
    assert "dapo" in by_name["enum"]
    assert by_settings == {"$ref": "#/$defs/Objective"}


def test_models_say_where_they_come_from_and_what_they_cost(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = said(capsys, "models")

    assert "hub HuggingFaceTB/SmolLM2-135M-Instruct · 135 M parameters · Apache-2.0" in found
    assert "qwen2.5-coder-1.5b-instruct" in found
