"""An experiment whose costs can be counted by hand."""

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
