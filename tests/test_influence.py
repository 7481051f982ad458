"""The interaction graph as a file: other tools read what the turns say."""

import json
from pathlib import Path

import networkx as nx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import moot, rows

from moot.experiments.analysis.graph import COLUMNS, by_agent, by_turn
from moot.experiments.analysis.interaction import adoption
from moot.experiments.influence import FORMATS, LEVELS
from moot.experiments.report.findings import adopted
from moot.experiments.report.readings import read

EXPERIMENT = """\
name: ring
cycles: 2
engines:
  main: {kind: simulated, competence: 0.6, conformity: 0.5}
population:
  - {name: solver, count: 4, engine: main}
tasks: {kind: simulated, options: 4, size: 40, held_out: 10, per_cycle: 15}
protocol: {kind: debate, rounds: 2, topology: {kind: ring}}
evaluation: {controls: false}
"""

Edges = dict[tuple[str, str], dict[str, int]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("influence")
    (folder / "x.yaml").write_text(EXPERIMENT)
    assert moot("run", folder / "x.yaml", "--out", folder / "run") == 0
    return folder / "run"


def edges(path: Path) -> Edges:
    """Return the edges of a graph's file."""
    match path.suffix:
        case ".graphml":
            found = nx.read_graphml(path)
        case ".gexf":
            found = nx.read_gexf(path)
        case ".json":
            found = nx.node_link_graph(json.loads(path.read_text()), edges="edges")
        case _:
            told = rows(path)
            return {(edge.pop("speaker"), edge.pop("listener")): edge for edge in told}
    return {(a, b): {k: v for k, v in e.items() if k != "id"} for a, b, e in found.edges(data=True)}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("form", FORMATS)
def test_a_file_holds_the_graph(run: Path, tmp_path: Path, level: str, form: str) -> None:
    to = tmp_path / f"graph.{form}"
    assert moot("graph", run, "--level", level, "--format", form, "--to", to) == 0

    graph = {"agents": by_agent, "turns": by_turn}[level](read(run).turns(COLUMNS))
    whole = {(a, b): dict(seen) for a, b, seen in graph.edges(data=True)}
    assert edges(to) == whole
    heard = 4 * (1 + 2)  # itself and both neighbours
    assert len(whole) == {"agents": heard, "turns": 2 * 15 * heard}[level]


def test_nodes_say_who_it_was_and_how_it_answered(run: Path, tmp_path: Path) -> None:
    assert moot("graph", run, "--level", "turns", "--to", tmp_path / "g.graphml") == 0
    nodes = nx.read_graphml(tmp_path / "g.graphml").nodes

    turns = [turn for cycle in (0, 1) for turn in rows(run / f"cycle-00{cycle}/turns.parquet")]
    assert len(nodes) == len(turns)
    for turn in turns:
        node = nodes[f"{turn['episode']}:{turn['turn']}"]
        assert node["agent"] == turn["agent"]
        assert node.get("answer") == turn["answer"]
        assert node.get("correct") == turn["correct"]


@pytest.mark.parametrize("form", ["graphml", "gexf"])
def test_an_answer_that_xml_has_no_place_for_is_no_trouble(
    run: Path, tmp_path: Path, form: str
) -> None:
    for file in ("experiment.yaml", "metrics.parquet", "usage.parquet"):
        (tmp_path / file).write_bytes((run / file).read_bytes())
    (tmp_path / "cycle-000").mkdir()
    for file in ("turns", "episodes", "verdicts"):
        table = pq.read_table(run / "cycle-000" / f"{file}.parquet")
        if file == "turns":
            odd = pa.array(["4\x0b\x00<&\u2028"] * len(table))
            table = table.set_column(table.column_names.index("answer"), "answer", odd)
        pq.write_table(table, tmp_path / "cycle-000" / f"{file}.parquet")

    assert moot("graph", tmp_path, "--level", "turns", "--format", form) == 0
    found = tmp_path / f"graph-turns.{form}"
    nodes = (nx.read_graphml if form == "graphml" else nx.read_gexf)(found).nodes(data="answer")
    assert {answer for _, answer in nodes} == {"4\ufffd\ufffd<&\u2028"}


def test_it_lies_beside_the_run_and_the_terminal_says_who_was_adopted(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert moot("graph", run) == 0

    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"graph: {run / 'graph-agents.graphml'}"
    assert "Of the unlike answers that they heard, policies adopted 0." in said[-2]
    assert "; of those that they missed they gave 0." in said[-2]
    assert len(said) == 8 + 2
    whole = edges(run / "graph-agents.graphml")
    for line in said[:8]:
        pair, _, counts = line.partition("  ")
        speaker, listener = pair.split(" → ")
        found = whole[speaker, listener]
        assert f"heard {found['differed']}, adopted {found['adopted']} " in counts


def test_what_cannot_be_written_is_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = {
        ("--level", "groups"): "--level: expected agents or turns, got 'groups'",
        ("--format", "dot"): "--format: expected graphml or gexf or json or parquet, got 'dot'",
        ("--to", "gone/x.graphml"): "--to gone/x.graphml: there is no folder gone",
    }
    for arguments, line in wrong.items():
        assert moot("graph", run, *arguments) == 2
        assert capsys.readouterr().err == f"{line}\n"
    (tmp_path / "experiment.yaml").write_text((run / "experiment.yaml").read_text())
    (tmp_path / "cycle-000").mkdir()
    (tmp_path / "cycle-000" / "turns.parquet").write_text("broken")
    assert moot("graph", tmp_path) == 1
    told = capsys.readouterr().err
    assert f"{tmp_path}: left out: cycle-000/turns.parquet: " in told
    assert "nobody has spoken in a complete cycle" in told


def test_of_many_pairs_those_of_whom_most_was_adopted_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = EXPERIMENT.replace("count: 4", "count: 6").replace("kind: ring", "kind: full")
    (tmp_path / "x.yaml").write_text(text.replace("cycles: 2", "cycles: 1\nseed: 3"))
    out = tmp_path / "run"
    assert moot("run", tmp_path / "x.yaml", "--out", out) == 0
    capsys.readouterr()

    assert moot("graph", out) == 0

    said = capsys.readouterr().out.splitlines()
    met = sorted(
        (-seen["adopted"], -seen["differed"], f"{a} → {b}", seen)
        for (a, b), seen in edges(out / "graph-agents.graphml").items()
        if seen["differed"]
    )
    lines = [
        f"{pair}  unlike answers heard {seen['differed']}, adopted {seen['adopted']}"
        f" (corrected {seen['corrected']}, corrupted {seen['corrupted']})"
        for *_, pair, seen in met
    ]
    assert said[:-2] == [*lines[:20], "and ten pairs more, in the file by agents"]
    assert len(lines) == 30
    assert said[-2] == adopted(adoption(read(out).turns(COLUMNS), 3))
