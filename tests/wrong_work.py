"""Wrong protocols, methods and tasks."""

import pytest
from wrong import ENGINE, GOOD, LEARNS, MODEL, PROTOCOLS, TASKS, added, source, wrong

UNTAUGHT = (
    "no {0} learns to give verdicts here; that takes `method: {{kind: laser}}` and a {0} that "
    "`learns`"
)
WORK = [
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
        ":13:11 protocol: expected a mapping of keys to values, got 'consensus'",
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
        ":14:16 method.kind: expected one of 'cat', 'dpo', 'empo', 'intuitor', 'kto', 'laser', 'rent', 'rlaif', 'rlhf', 'sft', 'srt', 'sum', 'ttrl', got 'dppo'; did you mean 'dpo'?",
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
    added(
        "method: {kind: cat}",
        ":14:9 method: nobody learns; set `learns: true` for a policy, or leave `method` out",
    ),
    pytest.param(
        f"{LEARNS}method: {{kind: sft}}\nfit: {{guards: {{kl: 1}}}}\n",
        [
            ":15:20 fit.guards.kl: sft doesn't learn from what the policy has just said, by which "
            "alone its KL can be told; guard `loss` or `grad_norm`"
        ],
        id="a KL that nothing tells",
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
    # Talk.
    wrong(
        "{kind: consensus}",
        "{kind: consensus, weigh: trust}",
        ":13:36 protocol.weigh: nobody judges here, so all are trusted alike; have it judged, or "
        "weigh otherwise",
    ),
    pytest.param(
        GOOD.replace(ENGINE, '{kind: endpoint, url: "http://x", model: m}').replace(
            "kind: consensus", "kind: selection, by: mutual"
        ),
        [":13:33 protocol.by: engine 'main' (endpoint) doesn't tell how likely a text is"],
        id="likelihoods of an endpoint",
    ),
    pytest.param(
        GOOD.replace(ENGINE, "{kind: simulated}")
        .replace(TASKS, "tasks: {kind: simulated, options: 4}\n")
        .replace("kind: consensus", "kind: consensus, weigh: likelihood"),
        [":8:36 protocol.weigh: engine 'main' (simulated) doesn't tell how likely a text is"],
        id="likelihoods of simulated agents",
    ),
    wrong(
        "{kind: consensus}",
        "{kind: consensus, weigh: self_reward}",
        f":13:36 protocol.weigh: {UNTAUGHT.format('policy')}",
    ),
    pytest.param(
        f"{LEARNS}method: {{kind: cat}}\n".replace(
            "{kind: consensus}",
            "{kind: equivalent, talk: {kind: selection, by: self_reward}}",
        ).replace("learns: true}", "learns: true}\n  - {name: judge, role: judge}"),
        [f":14:58 protocol.talk.by: {UNTAUGHT.format('policy')}"],
        id="verdicts that cat doesn't teach",
    ),
    pytest.param(
        f"{LEARNS}method: {{kind: laser}}\n".replace(
            "{kind: consensus}", "{kind: judged, judging: {kind: self_reward}}"
        ).replace("learns: true}", "learns: true}\n  - {name: judge, role: [judge, policy]}"),
        [f":14:42 protocol.judging.kind: {UNTAUGHT.format('judge')}"],
        id="a judge who doesn't learn verdicts",
    ),
    wrong(
        "kind: consensus",
        "kind: selection, by: perplexity, who: anchor",
        ":13:11 protocol: `who` means nothing with `by: perplexity`: leave it out",
    ),
    wrong(
        "kind: consensus",
        'kind: synthesis, prompt: "{answers} {question}"',
        ":13:11 protocol: `prompt` has {question}: set `question: shown`, or take it out",
    ),
    wrong(
        "kind: consensus",
        "kind: tournament, judging: {pairs: 3}",
        ":13:11 protocol: judging.pairs: `rounds` says who meets whom; leave it out",
    ),
    # Tasks.
    wrong(
        "kind: inline",
        "kind: inlne",
        ":8:9 tasks.kind: expected one of 'reasoning_gym', 'file', 'inline', 'simulated', got 'inlne'; did you "
        "mean 'inline'?",
    ),
    wrong(
        "verifier: number",
        "verifier: numbr",
        ":9:13 tasks.verifier: expected 'exact', 'number', 'math' or 'choice', got 'numbr'; did you "
        "mean 'number'?",
    ),
    wrong(
        "answer: 2",
        "answer: two",
        ":8:3 tasks: items.0: the answer 'two' can't be read by verifier number",
    ),
    wrong(", answer: 2", "", ":12:11 tasks.items.0.answer: is missing"),
    wrong(
        "answer: 2",
        "answer: [2]",
        ":12:38 tasks.items.0.answer: expected text or a whole number or a number, got a list of 1",
    ),
    wrong(
        ', {prompt: "1 + 2?", answer: 3}',
        "",
        ":12:10 tasks.items: expected at least 2 of them, got a list of 1",
    ),
    wrong(
        '"1 + 2?", answer: 3',
        '"1 +  1?", answer: 3',
        ":8:3 tasks: the question '1 +  1?' is there with the answer '2' and with '3': leave one of "
        "them out",
    ),
    wrong(
        '"1 + 2?", answer: 3',
        '"1 +  1?", answer: 2',
        ":8:3 tasks: 1 different questions (1 left out as repeated) are too few for held_out: 1 and "
        "per_cycle: 1; 1 can be held out, which leaves 0",
    ),
    wrong(
        "held_out: 1",
        "held_out: 5",
        ":8:3 tasks: 2 different questions are too few for held_out: 5 and per_cycle: 1; 2 can be "
        "held out, which leaves 0",
    ),
    wrong(
        "verifier: number",
        "verifier: number\n  template: hello",
        ":10:13 tasks.template: expected text that holds {prompt}, got 'hello'",
    ),
    source(
        "{kind: reasoning_gym, dataset: chain_sums}",
        ":7:8 tasks: reasoning_gym has no data set 'chain_sums'; did you mean 'chain_sum'?",
    ),
    source(
        "{kind: reasoning_gym, dataset: chain_sum, options: {min_term: 2}}",
        ":7:8 tasks: options: chain_sum has no 'min_term'; did you mean 'min_terms'?",
    ),
    source(
        "{kind: file, path: sum.jsonl, verifier: number}",
        ":7:8 tasks: sum.jsonl: no such file; did you mean 'sums.jsonl'?",
    ),
    source(
        "{kind: file, path: sums.jsonl, verifier: number}",
        ":7:8 tasks: sums.jsonl:1: no column 'answer'; there are: prompt, result",
    ),
    source(
        "{kind: file, path: sums.jsonl, verifier: number, answer_column: results}",
        ":7:8 tasks: sums.jsonl:1: no column 'results'; there are: prompt, result; did you mean "
        "'result'?",
    ),
    source(
        "{kind: file, path: ., verifier: number}",
        ":7:8 tasks: DIR: expected a file that ends in .jsonl, .csv, .parquet",
    ),
]
