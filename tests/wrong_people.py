"""Wrong engines, populations and debates."""

import pytest
from wrong import ENGINE, GOOD, MODEL, engine, wrong

PEOPLE = [
    wrong(
        "- {name: solver",
        "- {learns_from: all, name: solver",
        ":6:5 population.0: `learns_from` means nothing without `learns: true`",
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
    engine(
        "scripted",
        ":4:9 engines.main: expected a mapping of keys to values, got 'scripted'; write "
        "`{kind: scripted}`",
    ),
    engine(
        "{lines: [a]}",
        ":4:9 engines.main.kind: is missing; one of 'scripted', 'simulated', 'local', 'vllm', 'endpoint', 'human'",
    ),
    engine(
        "{kind: scriptd}",
        ":4:16 engines.main.kind: expected one of 'scripted', 'simulated', 'local', 'vllm', 'endpoint', 'human', got "
        "'scriptd'; did you mean 'scripted'?",
    ),
    engine(
        "{kind: simulated, competence: 0.7}",
        ":8:3 tasks: a simulated engine has an opinion on none of these; `tasks: {kind: simulated}`",
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
]
