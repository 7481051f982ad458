"""Bad input: for each wrong file or argument the whole error it must give, and nothing is begun."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moot.experiments.main import main

GOOD = """\
name: trial
cycles: 1
engines:
  main: {kind: scripted, lines: ["1", "2"]}
population:
  - {name: solver, count: 3}
tasks:
  kind: inline
  verifier: number
  held_out: 1
  per_cycle: 1
  items: [{prompt: "1 + 1?", answer: 2}, {prompt: "1 + 2?", answer: 3}]
protocol: {kind: consensus}
"""
ENGINE = '{kind: scripted, lines: ["1", "2"]}'
TASKS = GOOD[GOOD.index("tasks:") : GOOD.index("protocol:")]
MODEL = "smollm2-135m-instruct"
PROTOCOLS = (
    "'sample', 'consensus', 'selection', 'synthesis', 'mixture', 'debate', 'reconcile', "
    "'reflection', 'critique', 'moderated', 'trial', 'tournament', 'judged', 'equivalent', 'rubric'"
)
LEARNS = GOOD.replace("count: 3", "learns: true").replace("]}\npop", f"], model: {MODEL}}}\npop")

Fails = Callable[..., list[str]]


@pytest.fixture
def fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Fails:
    """Run the command line and return what it says as it exits with `code`."""

    def run(*arguments: str, code: int = 2) -> list[str]:
        with pytest.raises(SystemExit) as end:
            main([a.replace("DIR", str(tmp_path)) for a in arguments])
        told = capsys.readouterr()
        assert end.value.code == code
        assert "Traceback" not in told.out + told.err
        return told.err.replace(f"{tmp_path}/", "").splitlines()

    return run


def wrong(before: str, after: str, *errors: str) -> Any:
    """Return a file with `before` replaced, and the lines of its error, at x.yaml:LINE:COLUMN."""
    assert before in GOOD
    return pytest.param(GOOD.replace(before, after), errors, id=after[:50])


def added(line: str, *errors: str) -> Any:
    return pytest.param(f"{GOOD}{line}\n", errors, id=line[:50])


def engine(text: str, *errors: str) -> Any:
    return wrong(ENGINE, text, *errors)


def source(text: str, *errors: str) -> Any:
    return wrong(TASKS, f"tasks: {text}\n", *errors)


FILES = [
    # What isn't YAML, or isn't an experiment.
    pytest.param("", [": is empty; expected an experiment"], id="empty"),
    pytest.param("# nothing\n", [": is empty; expected an experiment"], id="a comment"),
    pytest.param("- a\n", [":1:1: expected a mapping of keys to values"], id="a list"),
    pytest.param("hello\n", [":1:1: expected a mapping of keys to values"], id="text"),
    pytest.param(b'name: "\xff"\n', [": not UTF-8 at byte 7"], id="latin-1"),
    pytest.param(GOOD.encode("utf-16"), [": not UTF-8 at byte 0"], id="utf-16"),
    pytest.param(
        b"name: \x00\n",
        [
            ': not YAML: unacceptable character #x0000: special characters are not allowed in "<unicode string>", position 6'
        ],
        id="NUL",
    ),
    pytest.param("[" * 3000, [": not YAML: maximum recursion depth exceeded"], id="depth"),
    pytest.param(
        "a: " + "[" * 300 + "]" * 300,
        [":1:44: expands to too much; are there aliases of aliases?"],
        id="deep lists",
    ),
    wrong(
        "  kind: inline",
        "\tkind: inline",
        ":8:1: not YAML: found character '\\t' that cannot start any token; indent with spaces",
    ),
    wrong(
        "{kind: consensus}",
        "{kind: consensus",
        ":14:1: not YAML: expected ',' or '}', but got '<stream end>'",
    ),
    wrong("name: trial", "name: a: b", ":1:8: not YAML: mapping values are not allowed here"),
    wrong("name: trial", "name: *x", ":1:7: not YAML: found undefined alias 'x'"),
    added(
        "---\nname: x",
        ":14:1: not YAML: expected a single document in the stream, but found another document",
    ),
    added("name: again", ":14:1: duplicate key 'name', first on line 1"),
    wrong("count: 3", "count: 3, count: 4", ":6:30: duplicate key 'count', first on line 6"),
    wrong(
        "name: trial",
        "name: !!python/object/apply:os.system ['true']",
        ":1:7: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed here",
    ),
    wrong("name: trial", "name: !env HOME", ":1:7: the tag !env is not allowed here"),
    wrong("count: 3", "<<: {count: 3}", ":6:20: no merging (<<) here; write the keys out"),
    added("? [a, b]\n: 2", ":14:3: keys are text here; write the keys out"),
    # Keys.
    added("cylces: 2", ":14:1 cylces: unknown key; did you mean 'cycles'?"),
    added(
        "1: 2",
        ":14:1 1: unknown key; there are casting, cycles, engines, evaluation, fit, made_with, method,"
        " name, population, protocol, seed, stage, tasks",
    ),
    wrong("count: 3", "coutn: 3", ":6:20 population.0.coutn: unknown key; did you mean 'count'?"),
    wrong("name: trial\n", "", ":1:1 name: is missing"),
    wrong(TASKS, "", ":1:1 tasks: is missing"),
    wrong(f"engines:\n  main: {ENGINE}\n", "", ":1:1 engines: is missing"),
    engine("{kind: scripted}", ":4:9 engines.main.lines: is missing"),
    engine(
        "{kind: scripted, lines: [a], linse: [b]}",
        ":4:38 engines.main.linse: unknown key; did you mean 'lines'?",
    ),
    # Kinds of values.
    wrong("cycles: 1", "cycles: many", ":2:9 cycles: expected a whole number, got 'many'"),
    wrong("cycles: 1", "cycles: 1.5", ":2:9 cycles: expected a whole number, got 1.5"),
    wrong("cycles: 1", "cycles: '1'", ":2:9 cycles: expected a whole number, got '1'"),
    wrong("cycles: 1", "cycles: true", ":2:9 cycles: expected a whole number, got true"),
    wrong("cycles: 1", "cycles: yes", ":2:9 cycles: expected a whole number, got 'yes'"),
    wrong("cycles: 1", "cycles: [1]", ":2:9 cycles: expected a whole number, got a list of 1"),
    wrong("cycles: 1", "cycles: {}", ":2:9 cycles: expected a whole number, got an empty mapping"),
    wrong("cycles: 1\n", "cycles:\n", ":3:1 cycles: expected a whole number, got nothing"),
    wrong("cycles: 1", "cycles: -1", ":2:9 cycles: expected a number ≥ 0, got -1"),
    wrong("cycles: 1", "cycles: 100000", ":2:9 cycles: expected a number ≤ 10000, got 100000"),
    added("seed: .nan", ":14:7 seed: expected a whole number, got nan"),
    added(f"seed: {'9' * 5000}", f":14:7 seed: expected a whole number, got '{'9' * 59}…'"),
    added("fit: {lr: 1e-5x}", ":14:11 fit.lr: expected a number, got '1e-5x'"),
    added("fit: {lr: -1e-5}", ":14:11 fit.lr: expected a number > 0, got -1e-05"),
    added("fit: {lora: {rank: 0}}", ":14:20 fit.lora.rank: expected a number ≥ 1, got 0"),
    added("stage: 7", ":14:8 stage: expected a mapping of keys to values, got 7"),
    added(
        "evaluation: {baseline: no}",
        ":14:24 evaluation.baseline: expected true or false, got 'no'",
    ),
    added("seed: 0b11", ":14:7: '0b11' is no int in YAML 1.2"),
    added("seed: !!int abc", ":14:7: 'abc' is no int in YAML 1.2"),
    added("seed: !!bool maybe", ":14:7: the tag tag:yaml.org,2002:bool is not allowed here"),
    added(
        "fit: {lora: {targets: []}}",
        ":14:23 fit.lora.targets: expected 'all-linear' or at least 1 of them, got an empty list",
    ),
    # Engines.
    wrong(
        f"  main: {ENGINE}",
        "  {}",
        ":4:3 engines: expected at least 1 of them, got an empty mapping",
    ),
    wrong(
        f"main: {ENGINE}",
        f"- {ENGINE}",
        ":4:3 engines: expected a mapping of keys to values, got a list of 1",
    ),
    wrong(
        "main: {",
        "a/b: {",
        ":4:8 engines.a/b: expected a name of letters, digits, '.', '_' and '-', got 'a/b'",
    ),
    engine("scripted", ":4:9 engines.main: expected a mapping of keys to values, got 'scripted'"),
    engine(
        "{lines: [a]}",
        ":4:9 engines.main.kind: is missing; one of 'scripted', 'simulated', 'local', 'vllm', 'endpoint'",
    ),
    engine(
        "{kind: scriptd}",
        ":4:16 engines.main.kind: expected one of 'scripted', 'simulated', 'local', 'vllm', 'endpoint', got "
        "'scriptd'; did you mean 'scripted'?",
    ),
    engine(
        "{kind: scripted, lines: []}",
        ":4:33 engines.main.lines: expected at least 1 of them, got an empty list",
    ),
    engine("{kind: scripted, lines: a}", ":4:33 engines.main.lines: expected a list, got 'a'"),
    engine(
        "{kind: scripted, lines: [a], limits: {concurrency: 0}}",
        ":4:60 engines.main.limits.concurrency: expected a number ≥ 1, got 0",
    ),
    engine(
        "{kind: local, model: smollm2}",
        f":4:30 engines.main.model: no model 'smollm2': neither packaged, nor a folder, nor a hub "
        f"id (org/name); packaged are {MODEL}, qwen2.5-coder-0.5b-instruct, "
        f"qwen2.5-coder-1.5b-instruct, all-minilm-l6-v2; did you mean '{MODEL}'?",
    ),
    engine(
        "{kind: local, model: ./nope}", ":4:30 engines.main.model: model 'nope': no such folder"
    ),
    engine(
        '{kind: local, model: ""}',
        ":4:30 engines.main.model: expected text that is not empty, got ''",
    ),
    engine(
        f"{{kind: local, model: {MODEL}, dtype: int8}}",
        ":4:60 engines.main.dtype: expected 'auto', 'float32', 'bfloat16' or 'float16', got 'int8'",
    ),
    engine(
        "{kind: vllm}",
        ":4:9 engines.main: expected `model` (a server is started) or `url` (one runs already)",
    ),
    engine(
        f"{{kind: vllm, model: {MODEL}, port: 70000}}",
        ":4:58 engines.main.port: expected a number ≤ 65535, got 70000",
    ),
    engine(
        '{kind: endpoint, url: "ftp://host", model: m}',
        ":4:31 engines.main.url: expected a URL like http://localhost:8000 or https://host/v1",
    ),
    engine(
        '{kind: endpoint, url: "http://a:b@host", model: m}',
        ":4:31 engines.main.url: a URL must not hold a password: name the key's variable in key_env",
    ),
    engine(
        '{kind: endpoint, url: "http://host", model: m, key: sk-1}',
        ":4:56 engines.main.key: unknown key; did you mean 'key_env'?",
    ),
    engine(
        '{kind: endpoint, url: "http://host", model: m, key_env: "sk-1 2"}',
        ":4:65 engines.main.key_env: expected the name of an environment variable, got 'sk-1 2'",
    ),
    # The population.
    wrong(
        "\n  - {name: solver, count: 3}",
        " []",
        ":5:13 population: expected at least 1 of them, got an empty list",
    ),
    wrong(
        "\n  - {name: solver, count: 3}",
        " {name: solver}",
        ":5:13 population: expected a list, got a mapping",
    ),
    wrong("count: 3", "count: 0", ":6:27 population.0.count: expected a number ≥ 1, got 0"),
    wrong(
        "count: 3",
        "role: polcy",
        ":6:26 population.0.role: expected 'policy', 'critic' or 'judge', got 'polcy'; did you mean "
        "'policy'?",
    ),
    wrong(
        "count: 3",
        "role: judge",
        ":13:11 protocol: no agent plays 'policy'; this population has judge ×1",
    ),
    wrong(
        "name: solver",
        "name: sol ver",
        ":6:12 population.0.name: expected a name of letters, digits, '.', '_' and '-', got 'sol ver'",
    ),
    wrong("name: solver", "name: 7", ":6:12 population.0.name: expected text, got 7"),
    wrong(
        "count: 3}",
        "count: 3}\n  - {name: solver}",
        ":6:3 population: 2 groups are called 'solver'; use `count`",
    ),
    wrong(
        "count: 3}",
        "count: 3}\n  - {name: solver-1}",
        ":6:3 population: 2 agents are called 'solver-1'",
    ),
    wrong(
        "count: 3",
        "engine: mian",
        ":6:28 population.0.engine: no engine 'mian'; did you mean 'main'?",
    ),
    wrong(
        f"main: {ENGINE}",
        f"main: {ENGINE}\n  other: {ENGINE}",
        ":7:5 population.0: say which engine: main, other",
    ),
    pytest.param(
        GOOD.replace(ENGINE, f"{ENGINE}\n  other: {ENGINE}").replace("count: 3", "engine: main"),
        [":5:10 engines.other: nobody speaks through this engine"],
        id="an engine too many",
    ),
    wrong(
        "count: 3",
        "sampling: {temperature: .inf}",
        ":6:44 population.0.sampling.temperature: expected a finite number, got inf",
    ),
    wrong(
        "count: 3",
        "sampling: {top_p: 0}",
        ":6:38 population.0.sampling.top_p: expected a number > 0, got 0",
    ),
    wrong(
        "count: 3",
        "sampling: {stop: x}",
        ":6:37 population.0.sampling.stop: expected a list, got 'x'",
    ),
    wrong(
        "count: 3",
        "role: [policy, jugde]",
        ":6:35 population.0.role.1: expected 'policy', 'critic' or 'judge', got 'jugde'; did you "
        "mean 'judge'?",
    ),
    wrong(
        "count: 3",
        "persona: []",
        ":6:29 population.0.persona: expected at least 1 of them, got an empty list",
    ),
    wrong(
        "count: 3",
        "persona: {file: gone.txt}",
        ":6:29 population.0.persona: gone.txt: No such file or directory",
    ),
    wrong(
        "count: 3",
        "persona: {fil: gone.txt}",
        ":6:29 population.0.persona.file: is missing",
        ":6:30 population.0.persona.fil: unknown key",
    ),
    wrong(
        "count: 3",
        "sampling: [{}, {temprature: 1}]",
        ":6:36 population.0.sampling.1.temprature: unknown key; did you mean 'temperature'?",
    ),
    # Debates.
    wrong(
        "kind: consensus",
        "kind: debate, rounds: 0",
        ":13:34 protocol.rounds: expected a number ≥ 1, got 0",
    ),
    wrong(
        "kind: consensus",
        "kind: debate, topology: {kind: rign}",
        ":13:43 protocol.topology.kind: expected one of 'full', 'ring', 'star', 'chain', 'layered', "
        "'regular', 'small_world', 'random', 'edges', got 'rign'; did you mean 'ring'?",
    ),
    wrong(
        "kind: consensus",
        "kind: debate, topology: {kind: star, hub: solver}",
        ":13:11 protocol: no policy is called 'solver'; did you mean 'solver-2'?",
    ),
    wrong(
        "kind: consensus",
        "kind: debate, topology: {kind: regular, degree: 3}",
        ":13:11 protocol: 3 agents can't hear 3 others each: the degree must be below their number, "
        "and one of the two even",
    ),
    wrong(
        "kind: consensus",
        "kind: debate, topology: {kind: edges, edges: {file: gone.graphml}}",
        ":13:57 protocol.topology.edges: gone.graphml: No such file or directory",
    ),
    wrong(
        "kind: consensus",
        "kind: debate, topology: {kind: edges, edges: []}",
        ":13:57 protocol.topology.edges: expected at least 1 of them, got an empty list",
    ),
    wrong(
        "kind: consensus",
        "kind: debate, sees: summary",
        ":13:11 protocol: no agent plays 'critic'; this population has policy ×3",
    ),
    wrong(
        "kind: consensus",
        "kind: debate, prompt: Again.",
        ":13:34 protocol.prompt: expected text that holds {others}, got 'Again.'",
    ),
    engine(
        "{kind: simulated, stubbornness: 0.6, conformity: 0.6}",
        ":4:9 engines.main: stubbornness and conformity add up to more than 1",
    ),
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
        f"{LEARNS.replace(f', model: {MODEL}', '')}method: {{kind: cat}}\n",
        [":6:28 population.0.learns: its engine (scripted) has no model that can be trained"],
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
        "1 + 2?",
        "1 +  1?",
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


@pytest.mark.parametrize(("text", "errors"), FILES)
def test_a_wrong_file_is_told_by_place(
    text: str | bytes, errors: list[str], fails: Fails, tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    (tmp_path / "sums.jsonl").write_text('{"prompt": "1 + 1?", "result": 2}\n')

    told = fails("run", "DIR/x.yaml", "--out", "DIR/run")

    assert [line.replace(str(tmp_path), "DIR") for line in told] == [f"x.yaml{e}" for e in errors]
    assert not (tmp_path / "run").exists()


def test_everything_that_is_wrong_is_told_at_once_in_the_files_order(
    fails: Fails, tmp_path: Path
) -> None:
    text = GOOD.replace("cycles: 1", "cycles: x").replace("count: 3", "cuont: 3")
    (tmp_path / "x.yaml").write_text(text.replace("number", "nubmer"))

    assert [line.split(":")[1:3] for line in fails("plan", "DIR/x.yaml")] == [
        ["2", "9 cycles"],
        ["6", "20 population.0.cuont"],
        ["9", "13 tasks.verifier"],
    ]


def test_an_alias_bomb_is_refused_before_it_goes_off(fails: Fails, tmp_path: Path) -> None:
    rows = [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    (tmp_path / "x.yaml").write_text("\n".join(["a0: &a0 [x]", *rows]))
    (tmp_path / "y.yaml").write_bytes(b"a: " + b"x" * 10_000_000)

    [told] = fails("plan", "DIR/x.yaml")

    assert re.fullmatch(r"x.yaml:\d+:\d+: expands to too much; are there aliases of .*", told)
    assert fails("plan", "DIR/y.yaml") == ["y.yaml: too large for an experiment file (over 1 MB)"]


SETS = ["plan", "DIR/x.yaml", "--set"]
ARGUMENTS = [
    (["--helpp"], "No such option: --helpp"),
    (["runn"], "No such command 'runn'"),
    (["run"], "moot run: name an EXPERIMENT.yaml, or a run to replay: --from DIR"),
    (["run", "DIR/x.yaml", "extra"], "unexpected extra argument"),
    (["run", "DIR/nope.yaml"], "nope.yaml: no such file"),
    (["run", "DIR"], "is a directory; expected an experiment file"),
    (["run", "DIR/x.yaml/y"], "x.yaml/y: can't be read: Not a directory"),
    (["run", "DIR/x.yaml", "--out", "DIR/x.yaml"], "x.yaml: is a file; choose another --out"),
    (["run", "DIR/x.yaml", "--out", "/proc/moot"], "/proc/moot: can't be written: No such file"),
    (["run", "DIR/x.yaml", "--out", "DIR"], "holds x.yaml but no run; choose another --out"),
    (["plan", "DIR/x.yaml", "--set"], "Option '--set' requires an argument"),
    (["plan", "DIR/x.yaml", "--set", "cycles"], "--set cycles: expected path.to.key=value"),
    (["plan", "DIR/x.yaml", "--set", "=2"], "--set : expected path.to.key=value"),
    (["plan", "DIR/x.yaml", "--set", "cycles=x"], "--set cycles: expected a whole number, got 'x'"),
    (["plan", "DIR/x.yaml", "--set", "cycles="], "--set cycles: expected a whole number, got ''"),
    (["plan", "DIR/x.yaml", "--set", "cycles=[1"], "--set cycles:1:3: not YAML: expected ',' or"),
    (["plan", "DIR/x.yaml", "--set", "cylces=2"], "--set cylces: unknown key; did you mean"),
    (
        ["plan", "DIR/x.yaml", "--set", "population.0.count=0"],
        "--set population.0.count: expected a number ≥ 1, got 0",
    ),
    (
        ["plan", "DIR/x.yaml", "--set", "population.5.count=1"],
        "--set population.5.count: population has the entries 0 to 0",
    ),
    (
        [*SETS, "method={kind: rlhf, file: likes.jsonl, centre: -1}"],
        "method.centre: expected a number ≥ 0, got -1",
    ),
    (
        [*SETS, "method={kind: sft, weigh: {a: 1}}"],
        "`weigh` means nothing with `on: reference`: it is for demonstrations",
    ),
    ([*SETS, "method={kind: sft, least: 0.5}"], "`least` means nothing with `on: reference`"),
    (
        [*SETS, "method={kind: rlaif, by: grade, model: {centre: 1}}"],
        "`model` means nothing with `by: grade`",
    ),
    ([*SETS, "method={kind: rlaif, no_answer: 0.5}"], "`no_answer` means nothing with `by: model`"),
    (["plan", "DIR/x.yaml", "--set", "name.x=1"], "--set name.x: name is 'trial' and has no 'x'"),
    (["report", "DIR/nope"], "nope: there is no such directory"),
    (["report", "DIR"], "holds no run (there is no experiment.yaml)"),
    (["models", "nope"], "No such command 'nope'"),
    (["models", "fetch"], "Missing argument 'NAME'"),
    (["models", "fetch", "nope"], f"no packaged model 'nope'; packaged are {MODEL}"),
]


@pytest.mark.parametrize(("arguments", "error"), ARGUMENTS, ids=str)
def test_a_wrong_argument_is_told(
    arguments: list[str], error: str, fails: Fails, tmp_path: Path
) -> None:
    (tmp_path / "x.yaml").write_text(GOOD)

    assert error in fails(*arguments)[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]
