"""Files that are no experiment in form: not YAML, unknown keys, values of another kind."""

import pytest
from wrong import ENGINE, GOOD, TASKS, added, engine, wrong

FORMS = [
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
        " name, population, protocol, seed, stage, tasks, trust",
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
    added('system: "\\ud83d"', ":14:9: '\\ud83d' is half a surrogate pair, no character"),
    added("seed: 0b11", ":14:7: '0b11' is no int in YAML 1.2"),
    added("seed: !!int abc", ":14:7: 'abc' is no int in YAML 1.2"),
    added("seed: !!bool maybe", ":14:7: the tag tag:yaml.org,2002:bool is not allowed here"),
    added(
        "fit: {lora: {targets: []}}",
        ":14:23 fit.lora.targets: expected 'all-linear' or at least 1 of them, got an empty list",
    ),
]
