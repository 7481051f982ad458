"""Wrong methods, and protocols that don't go with them."""

import pytest
from wrong import ENGINE, GOOD, LEARNS, MODEL, PROTOCOLS, added, wrong

KINDS = (
    "'cat', 'dpo', 'empo', 'intuitor', 'kto', 'laser', 'rent', 'rlaif', 'rlhf', 'rlvr', 'sft', 'srt', "
    "'sum', 'ttrl'"
)
METHODS = [
    # Protocols and methods.
    wrong(
        "kind: consensus",
        "kind: concensus",
        f":13:18 protocol.kind: expected one of {PROTOCOLS}, got 'concensus'; "
        "did you mean 'consensus'?",
    ),
    wrong(
        "{kind: consensus}",
        "{samples: 2}",
        f":13:11 protocol.kind: is missing; one of {PROTOCOLS}",
    ),
    wrong(
        "{kind: consensus}",
        "consensus",
        ":13:11 protocol: expected a mapping of keys to values, got 'consensus'; write "
        "`{kind: consensus}`",
    ),
    wrong(
        "{kind: consensus}",
        "{kind: debate, topology: rng}",
        ":13:36 protocol.topology: expected a mapping of keys to values, got 'rng'; write "
        "`{kind: ...}`",
    ),
    wrong(
        "consensus}",
        "consensus, quorum: 2}",
        ":13:37 protocol.quorum: expected a number ≤ 1, got 2",
    ),
    wrong(
        "consensus}",
        "synthesis, prompt: hello}",
        ":13:37 protocol.prompt: expected text that holds {answers}, got 'hello'",
    ),
    wrong(
        "consensus}",
        "synthesis, by: critic}",
        ":13:11 protocol: no agent plays 'critic'; this population has policy ×3",
    ),
    pytest.param(
        GOOD.replace("consensus}", "synthesis}").replace("solver, count: 3", "anchor"),
        [":13:11 protocol: an agent is called 'anchor', as the frozen initial policy is"],
        id="the anchor's name",
    ),
    added(
        "method: {kind: dppo}",
        f":14:16 method.kind: expected one of {KINDS}, got 'dppo'; did you mean 'dpo'?",
    ),
    added(
        "method: {kind: Dr-GRPO}",
        f":14:16 method.kind: expected one of {KINDS}, got 'Dr-GRPO'; that is an objective, as in "
        "`{kind: cat, objective: dr_grpo}`",
    ),
    added(
        "method: {kind: DPO}",
        f":14:16 method.kind: expected one of {KINDS}, got 'DPO'; did you mean 'dpo'?",
    ),
    pytest.param(
        f"{LEARNS}method: {{kind: dpo, file: likes.jsonl}}\n",
        [":14:27 method.file: no such file: likes.jsonl"],
        id="no preferences",
    ),
    pytest.param(
        f"{LEARNS}method: {{kind: rlhf, file: x.yaml}}\n",
        [
            ":14:28 method.file: x.yaml: can't be read: line 1 is no JSON: Expecting value: line 1 "
            "column 1 (char 0)"
        ],
        id="no preferences in it",
    ),
    pytest.param(
        f"{LEARNS}method: {{kind: sft, file: gone.jsonl}}\n",
        [":14:27 method.file: no such file: gone.jsonl"],
        id="no demonstrations",
    ),
    pytest.param(
        f"{LEARNS.replace('consensus', 'sample')}method: {{kind: sft, file: sums.jsonl}}\n",
        [
            ":14:16 method.kind: sft learns from a reference, and protocol sample yields none; "
            "`talk: false` beside the `file` learns from it alone",
            ":14:27 method.file: sums.jsonl: row 1: completion: expected a text, or one message "
            "of the assistant, with the prompt before it or not, got None",
        ],
        id="no demonstrations in it",
    ),
    pytest.param(
        f"{LEARNS}method: {{kind: dpo, variant: hinge, soft: true}}\n",
        [":14:9 method: `soft` means nothing to hinge: it is for sigmoid, sppo"],
        id="an option of others",
    ),
    pytest.param(
        f"{LEARNS.replace('consensus', 'sample')}method: {{kind: laser}}\n".replace(
            "learns: true", 'learns: true, sampling: {stop: ["."]}'
        ),
        [
            ":6:44 population.0.sampling: method laser learns a verdict after a reply's own end: "
            "leave `stop` out"
        ],
        id="a stop before a verdict",
    ),
    pytest.param(
        f"{LEARNS}method: {{kind: cat, objective: {{correct: {{}}}}}}\n".replace(
            "learns: true", "learns: true, sampling: {temperature: 0.5}"
        ),
        [
            ":6:44 population.0.sampling: method.objective.correct needs temperature 1: engines tell "
            "log-probs before it"
        ],
        id="heat",
    ),
    pytest.param(
        f"{LEARNS}method: {{kind: cat, objective: {{overlong: 513}}}}\n",
        [
            ":14:43 method.objective.overlong: 513 is more than the 512 tokens of a reply of "
            "'solver'; take fewer"
        ],
        id="a penalty longer than replies",
    ),
    added(
        "method: {kind: cat}",
        ":14:9 method: nobody learns; set `learns: true` for a policy, or leave `method` out",
    ),
    pytest.param(
        f"{LEARNS}method: {{kind: dpo}}\nfit: {{guards: {{commonest: 0.5}}}}\n",
        [
            ":15:27 fit.guards.commonest: dpo learns from texts, of which no answers are kept; "
            "guard `distinct`"
        ],
        id="a guard of answers where there are none",
    ),
    pytest.param(
        f"{LEARNS.replace('consensus', 'debate')}"
        "method: {kind: sft, on: demonstrations, weigh: {generater: 1, critic_kept: 1}}\n",
        [
            ":14:60 method.weigh.generater: no protocol holds up a 'generater'; did you mean "
            "'generator'?"
        ],
        id="examples of nothing",
    ),
    pytest.param(
        f"{LEARNS}method: {{kind: cat, objective: {{kll: 1}}}}\n",
        [":14:33 method.objective.kll: unknown key; did you mean 'kl'?"],
        id="kll",
    ),
    pytest.param(
        LEARNS,
        [":6:28 population.0.learns: there is no method to learn by; add `method: {kind: cat}`"],
        id="no method",
    ),
    pytest.param(
        f"{LEARNS.replace('learns: true', 'learns: true, role: judge')}method: {{kind: cat}}\n",
        [
            ":6:28 population.0.learns: only policies learn, and this is a judge",
            ":13:11 protocol: no agent plays 'policy'; this population has judge ×1",
        ],
        id="a judge that learns",
    ),
    pytest.param(
        f"{LEARNS.replace('consensus', 'sample')}method: {{kind: cat}}\n",
        [":14:16 method.kind: cat learns from a reference, and protocol sample yields none"],
        id="nothing to learn from",
    ),
    pytest.param(
        f"{LEARNS.replace('consensus', 'sample')}method: {{kind: rlaif, by: grade}}\n",
        [":14:16 method.kind: rlaif learns from grades, and protocol sample yields none"],
        id="nothing to learn from is graded",
    ),
    pytest.param(
        f"{LEARNS.replace('consensus', 'sample')}method: {{kind: dpo, file: gone.jsonl}}\n",
        [
            ":14:16 method.kind: dpo learns from preferences, and protocol sample yields none; "
            "`talk: false` beside the `file` learns from it alone",
            ":14:27 method.file: no such file: gone.jsonl",
        ],
        id="nothing to learn from but a file",
    ),
    pytest.param(
        f"{LEARNS.replace(f', model: {MODEL}', '')}method: {{kind: cat}}\n",
        [
            ":6:28 population.0.learns: its engine (scripted) has no model that can be trained; "
            "name it as the engine's `model`"
        ],
        id="nothing to train",
    ),
    pytest.param(
        GOOD.replace(ENGINE, f"{{kind: vllm, model: {MODEL}, max_lora_rank: 8}}").replace(
            "count: 3", "learns: true"
        )
        + "method: {kind: cat}\n",
        [":4:67 engines.main.max_lora_rank: 8 is less than fit.lora.rank, 16"],
        id="an adapter too wide",
    ),
    pytest.param(
        GOOD.replace(ENGINE, f"{{kind: local, model: {MODEL}}}").replace("count: 3", "learns: true")
        + "method: {kind: cat}\nfit: {quantized: true}\n",
        [
            ":15:18 fit.quantized: engine 'main' would speak with other weights than those that "
            "learn: have both in 4 bits, or neither, or set fit.tolerance"
        ],
        id="4 bits that nobody speaks with",
    ),
    pytest.param(
        GOOD.replace(ENGINE, f"{{kind: local, model: {MODEL}, quantized: true}}").replace(
            "count: 3", "learns: true"
        )
        + "method: {kind: cat}\nfit: {lora: null}\n",
        [":4:9 engines.main: all weights learn (`fit.lora: null`), which 4 bits don't hold"],
        id="all weights and 4 bits",
    ),
]
