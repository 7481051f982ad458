"""Wrong talk and tasks."""

import pytest
from wrong import ENGINE, GOOD, LEARNS, TASKS, source, wrong

from moot.protocols.verifiers import VERIFIERS

NAMES = " or ".join(", ".join(map(repr, VERIFIERS)).rsplit(", ", 1))

UNTAUGHT = (
    "no {0} learns to give verdicts here; that takes `method: {{kind: laser}}` and a {0} that "
    "`learns`"
)
WORK = [
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
    # Who would never speak.
    wrong(
        "count: 3}\ntasks",
        "count: 3}\n  - {name: critic, role: critic, count: 2}\ntasks",
        ":7:5 population.1: 'critic' never speaks in protocol consensus: leave it out",
    ),
    pytest.param(
        GOOD.replace("count: 3}", "count: 3}\n  - {name: critic, role: critic, count: 2}").replace(
            "consensus", "critique"
        ),
        [
            ":7:5 population.1: 'critic' never speaks in protocol critique: leave it out, or set "
            "`protocol.by: critic`"
        ],
        id="critics in whose place each criticises itself",
    ),
    pytest.param(
        GOOD.replace(
            "count: 3}",
            "count: 3}\n  - {name: critic, role: critic}\n  - {name: judge, role: judge}",
        ).replace("{kind: consensus}", "{kind: judged, talk: {kind: critique}}"),
        [
            ":7:5 population.1: 'critic' never speaks in protocol judged: leave it out, or set "
            "`protocol.talk.by: critic`"
        ],
        id="critics of a talk that is judged",
    ),
    pytest.param(
        GOOD.replace("count: 3}", "count: 3}\n  - {name: judge, role: [judge, critic]}").replace(
            "consensus", "reflection"
        ),
        [
            ":7:5 population.1: 'judge' never speaks in protocol reflection: leave it out, or take "
            "`protocol: {kind: judged, talk: {kind: reflection}}`"
        ],
        id="a judge where nobody judges",
    ),
    pytest.param(
        GOOD.replace("count: 3}", "count: 3}\n  - {name: critic, role: critic, count: 2}").replace(
            "{kind: consensus}", "{kind: synthesis, by: critic}"
        ),
        [
            ":7:5 population.1: only 'critic-0' ever speaks of 'critic' in protocol synthesis: set "
            "`count: 1`, or have them take turns: `casting: {kind: round_robin, critics: 1}`"
        ],
        id="critics of whom one writes for all",
    ),
    pytest.param(
        GOOD.replace(
            "count: 3}",
            "count: 3}\n  - {name: judge, role: judge}\n  - {name: other, role: judge}",
        ).replace("consensus", "moderated"),
        [
            ":8:5 population.2: 'other' never speaks in protocol moderated: leave it out, or have "
            "them take turns: `casting: {kind: round_robin, judges: 1}`"
        ],
        id="a second moderator",
    ),
    pytest.param(
        GOOD.replace("count: 3}", "count: 3}\n  - {name: critic, role: critic, count: 2}").replace(
            "{kind: consensus}",
            "{kind: synthesis, by: critic}\ncasting: {kind: round_robin, policies: 2}",
        ),
        [
            ":7:5 population.1: only 'critic-0' ever speaks of 'critic' in protocol synthesis: set "
            "`count: 1`, or have them take turns: `casting.critics: 1`"
        ],
        id="critics who are cast all at once",
    ),
    pytest.param(
        GOOD.replace(
            "count: 3}",
            "role: [policy, critic], count: 3}\n  - {name: critic, role: critic}",
        ).replace("{kind: consensus}", "{kind: synthesis, by: critic}"),
        [":7:5 population.1: 'critic' never speaks in protocol synthesis: leave it out"],
        id="a critic after policies who play critics first",
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
        f":9:13 tasks.verifier: expected {NAMES}, got 'numbr'; did you mean 'number'?",
    ),
    wrong(
        "answer: 2",
        "answer: two",
        ":8:3 tasks: items.0: the answer 'two' can't be read by verifier number",
    ),
    wrong(
        ", answer: 2",
        "",
        ":8:3 tasks: items.0: has no answer, and others have; write `answer: null` if it isn't "
        "known",
    ),
    wrong(
        "  verifier: number\n",
        "",
        ":8:3 tasks: items.0: has an answer; name the `verifier` that reads and checks it",
    ),
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
        ":8:3 tasks: the question '1 +  1?' is there, as '1 + 1?', with the answer '2' and with "
        "'3': leave one of them out",
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
        ":7:8 tasks: sums.jsonl:1: no column 'answer'; there are: prompt, result; "
        "`answer_column` names it, or is null where no answers are known",
    ),
    source(
        "{kind: file, path: sums.jsonl, verifier: number, answer_column: results}",
        ":7:8 tasks: sums.jsonl:1: no column 'results'; there are: prompt, result; did you mean "
        "'result'?; `answer_column` names it, or is null where no answers are known",
    ),
    source(
        "{kind: file, path: semi.csv, verifier: number}",
        ":7:8 tasks: semi.csv:1: is separated by semicolons; expected commas",
    ),
    source(
        "{kind: file, path: ., verifier: number}",
        ":7:8 tasks: DIR: expected a file that ends in .jsonl, .csv, .parquet",
    ),
]
