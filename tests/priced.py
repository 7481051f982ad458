"""An experiment whose answers have a price."""

from pathlib import Path

from fake_endpoint import Fake

EXPERIMENT = """\
name: priced
cycles: 1
engines:
  main:
    kind: endpoint
    url: {url}
    model: m
    limits: {{concurrency: 1, patience_s: {patience}}}
    price: {{tokens_in: 100, tokens_cached: 10, tokens_out: 400}}
  free: {{kind: scripted, lines: ["4"]}}
population:
  - {{name: solver, count: 2, engine: main}}
  - {{name: writer, role: critic, engine: free}}
tasks:
  kind: inline
  verifier: number
  held_out: 3
  per_cycle: 4
  items: [{items}]
protocol: {{kind: synthesis, by: critic}}
evaluation: {{samples: 1, controls: {controls}}}
"""


def write(folder: Path, fake: Fake, patience: float = 60, controls: str = "false") -> Path:
    path = folder / "x.yaml"
    items = ", ".join(f"{{prompt: '{i} + 1?', answer: {i + 1}}}" for i in range(9))
    text = EXPERIMENT.format(url=fake.url, patience=patience, items=items, controls=controls)
    path.write_text(text)
    return path
