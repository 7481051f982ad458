"""`moot plan`: what an experiment would ask, hold and cost, and what known answers teach in it."""

import re
from pathlib import Path

import pytest
from command import said
from planned import EXPERIMENT

JUDGE = "population.1={name: judge, role: judge}"
JUDGED = [JUDGE, "protocol={kind: judged, talk: {kind: consensus}}"]
EXAMINED = [
    JUDGE,
    "protocol={kind: consensus}",
    "evaluation.judging={kind: pairwise}",
    "evaluation.judges=[judge]",
]
SUMMED = "method={kind: sum, of: [{kind: cat}, {kind: rlvr}]}"


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        ([], None),
        (["method={kind: rlvr}"], "method.kind"),
        (["method={kind: laser}"], "method.reward"),
        (["method={kind: laser, reward: match}"], None),
        ([SUMMED], "method.of.1.kind"),
        (JUDGED, "trust (`labels`: which judges are heard)"),
        ([*JUDGED, "trust=equal"], None),
        ([*JUDGED, "cycles=1"], None),  # nothing is learnt after a judge was weighed
        ([*JUDGED, "method={kind: ttrl}"], None),  # which asks no judge
        ([*JUDGED, "method={kind: rlvr}"], "method.kind"),
        (
            [*JUDGED, SUMMED],
            "method.of.1.kind and trust (`labels`: which judges are heard)",
        ),
        (EXAMINED, None),
    ],
)
def test_a_plan_says_what_known_answers_teach(
    sets: list[str], expected: str | None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_text(EXPERIMENT)

    found = said(capsys, "plan", str(tmp_path / "x.yaml"), *(f"--set={one}" for one in sets))

    told = [line for line in found.splitlines() if line.startswith("labels ")]
    assert told == ([f"labels      known answers teach, by {expected}"] if expected else [])


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
