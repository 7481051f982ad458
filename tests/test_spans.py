"""Spans: a run's episodes as OpenTelemetry traces, in lines that a collector takes."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from command import moot

from moot.experiments.spans import BATCH, batches

EXPERIMENT = """\
name: traced
cycles: 1
engines:
  main: {kind: scripted, lines: ["1", "2"], latency_s: 0.01}
population:
  - {name: solver, count: 3}
tasks:
  kind: inline
  verifier: number
  held_out: 2
  per_cycle: 2
  items:
    - {prompt: question a, answer: 1}
    - {prompt: question b, answer: 2}
    - {prompt: question c, answer: 3}
    - {prompt: question d, answer: 4}
protocol: {kind: debate}
evaluation: {samples: 1}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spans")
    (folder / "x.yaml").write_text(EXPERIMENT)
    assert moot("run", folder / "x.yaml", "--out", folder / "run") == 0
    return folder / "run"


@pytest.fixture(scope="module")
def lines(run: Path) -> list[dict[str, Any]]:
    to = run.parent / "spans.json"
    assert moot("export", run, "--kind", "spans", "--to", to) == 0
    return [json.loads(line) for line in to.read_text().splitlines()]


def spans(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        span
        for line in lines
        for resource in line["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def told(span: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


def test_every_turn_of_every_phase_is_a_span_under_its_episode(
    run: Path, lines: list[dict[str, Any]]
) -> None:
    found = spans(lines)
    roots = {span["traceId"]: span for span in found if "parentSpanId" not in span}
    turns = [span for span in found if "parentSpanId" in span]

    rows = [r for path in run.glob("*/turns.parquet") for r in pq.read_table(path).to_pylist()]
    assert len(turns) == len(rows) > 0
    assert len(roots) == len({row["episode"] for row in rows}) == len(found) - len(turns)
    assert len({span["spanId"] for span in found}) == len(found)
    for span in turns:
        root = roots[span["traceId"]]
        assert span["parentSpanId"] == root["spanId"]
        started, ended = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        assert int(root["startTimeUnixNano"]) <= started <= ended <= int(root["endTimeUnixNano"])
        assert ended - started == pytest.approx(1e7, abs=1e4)
    assert {told(root)["gen_ai.workflow.name"] for root in roots.values()} == {
        "debate",
        "consensus",
        "reflection",
    }


def test_a_span_says_who_spoke_and_what_it_took_and_links_to_what_was_heard(
    run: Path, lines: list[dict[str, Any]]
) -> None:
    found = {
        (told(s)["gen_ai.conversation.id"], told(s)["moot.turn"]): s
        for s in spans(lines)
        if "parentSpanId" in s
    }
    rows = pq.read_table(run / "cycle-000" / "turns.parquet").to_pylist()

    assert any(row["heard"] for row in rows)
    for row in rows:
        span = found[row["episode"], str(row["turn"])]
        seen = told(span)
        assert span["name"] == "chat main"
        assert seen["gen_ai.operation.name"] == "chat"
        assert seen["gen_ai.provider.name"] == "scripted"
        assert seen["gen_ai.agent.name"] == row["agent"]
        assert seen["gen_ai.usage.input_tokens"] == str(row["tokens_in"])
        assert seen["gen_ai.usage.output_tokens"] == str(row["tokens_out"])
        assert (seen["moot.phase"], seen["moot.tries"]) == ("cycle-000", "1")
        heard = [found[row["episode"], str(turn)]["spanId"] for turn in row["heard"]]
        assert [link["spanId"] for link in span["links"]] == heard
        assert {link["traceId"] for link in span["links"]} <= {span["traceId"]}
        assert "question" not in json.dumps(span)


def test_the_same_run_gives_the_same_ids(run: Path, lines: list[dict[str, Any]]) -> None:
    to = run.parent / "again.json"
    assert moot("export", run, "--kind", "spans", "--to", to) == 0

    assert [json.loads(line) for line in to.read_text().splitlines()] == lines


def test_a_line_is_a_request_as_opentelemetry_defines_it(lines: list[dict[str, Any]]) -> None:
    service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    from google.protobuf import json_format

    def based(value: Any) -> Any:
        """OTLP/JSON has ids in hex, where protobuf's own JSON has base64."""
        if isinstance(value, list):
            return [based(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {
            key: b64encode(bytes.fromhex(one)).decode()
            if key in ("traceId", "spanId", "parentSpanId")
            else based(one)
            for key, one in value.items()
        }

    for line in lines:
        request = json_format.ParseDict(based(line), service.ExportTraceServiceRequest())
        [resource] = request.resource_spans
        assert {a.key: a.value.string_value for a in resource.resource.attributes}[
            "service.name"
        ] == "moot"
        for span in resource.scope_spans[0].spans:
            assert (len(span.trace_id), len(span.span_id)) == (16, 8)
            assert span.end_time_unix_nano >= span.start_time_unix_nano > 0


def test_a_line_holds_whole_episodes_and_not_many_more_spans_than_it_may() -> None:
    episodes = [[{"n": i}] * 100 for i in range(12)]

    found = list(batches(episodes))

    assert [len(batch) for batch in found] == [600, 600]
    assert 600 - 100 < BATCH <= 600
    assert list(batches([])) == []


def test_a_run_without_a_complete_phase_has_no_spans(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "experiment.yaml").write_text("name: begun\n")

    assert moot("export", tmp_path, "--kind", "spans", "--to", tmp_path / "s.json") == 1

    assert "no phase is complete yet: nothing is written" in capsys.readouterr().err
    assert not (tmp_path / "s.json").exists()
