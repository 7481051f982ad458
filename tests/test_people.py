"""A person judges in a run that learns from it, and is asked nothing twice, whatever happens."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from command import moot, rows

EXPERIMENT = """\
name: people
engines:
  main:
    kind: scripted
    lines: ["it is 1", "it is 2", "it is 3"]
    replies: [{{when: Which of the two, say: ["?"]}}]
    model: {model}
  anna: {{kind: human}}
population:
  - {{name: solver, count: 3, engine: main, learns: true}}
  - {{name: model, role: judge, engine: main}}
  - {{name: anna, role: judge, engine: anna, persona: "Prefer the greater number."}}
cycles: 1
tasks:
  kind: inline
  verifier: number
  held_out: 2
  per_cycle: 8
  items: [{items}]
protocol:
  kind: judged
  judging: {{kind: cascade, experts: [anna], judging: {{both_orders: false}}}}
method: {{kind: dpo}}
fit: {{device: cpu, lora: {{rank: 4}}}}
evaluation: {{samples: 2, baseline: false, controls: false}}
"""
ASKED = re.compile(r"engine anna: people answer at (http://127\.0\.0\.\d:\d+)/#(\S+)")
FEWER = "and fewer where none has to be asked twice"
SIDES = ("chosen", "rejected")
REPLY = re.compile(r"it is (\d)")


class Anna:
    """A person who prefers the greater number, at the page of a run that goes on."""

    def __init__(self, experiment: Path) -> None:
        self.seen: list[str] = []
        self.out = experiment.parent / "runs" / "people"
        self.log = experiment.parent / f"log-{time.monotonic_ns()}"
        with self.log.open("w") as log:
            self.run = subprocess.Popen(
                [sys.executable, "-m", "moot.experiments.main", "run", str(experiment)],
                cwd=experiment.parent,
                env={**os.environ, "PYTHONSAFEPATH": "1"},
                stdout=log,
                stderr=log,
            )

    def answer(self, most: int = 1000) -> int:
        """Answer so many questions; return the exit code if the run ends first, else -1."""
        address, key = self._address()
        while len(self.seen) < most:
            if (code := self.run.poll()) is not None:
                return code
            request = Request(f"{address}/question", headers={"Authorization": f"Bearer {key}"})
            try:
                question = json.load(urlopen(request))["question"]
            except (URLError, ConnectionError):
                time.sleep(0.1)
                continue
            if question is None:
                time.sleep(0.02)
                continue
            [system, user] = question["prompt"]
            assert system == {"role": "system", "content": "Prefer the greater number."}
            self.seen.append(user["content"])
            one, other = map(int, REPLY.findall(user["content"]))
            said = {"page": "", "question": question["name"], "text": "1" if one > other else "2"}
            request.full_url = f"{address}/reply"
            before = self._written()
            try:
                urlopen(request, json.dumps(said).encode())
            except HTTPError as error:
                raise AssertionError(error.read()) from error
            assert self._written() == before + 1  # kill -9 now would lose nothing
        return -1

    def _written(self) -> int:
        """Return how many of her replies are in the journal."""
        query = (
            """select count(*) from said where cast(completion as text) like '%"tokens_in":0,%'"""
        )
        with closing(
            sqlite3.connect(f"file:{self.out / 'journal.sqlite'}?mode=ro", uri=True)
        ) as db:
            return db.execute(query).fetchone()[0]

    def _address(self) -> tuple[str, str]:
        while not (found := ASKED.search(self.log.read_text())):
            assert self.run.poll() is None, self.log.read_text()
            time.sleep(0.05)
        return found[1], found[2]


@pytest.fixture
def experiment(tiny: Path, tmp_path: Path) -> Path:
    items = ", ".join(f'{{prompt: "{i} - {i - 2}?", answer: 2}}' for i in range(10))
    path = tmp_path / "people.yaml"
    path.write_text(EXPERIMENT.format(model=tiny, items=items))
    return path


def test_a_run_waits_for_people_and_learns_what_they_prefer(experiment: Path) -> None:
    out = experiment.parent / "runs" / "people"
    first = Anna(experiment)
    assert first.answer(most=4) == -1
    first.run.send_signal(signal.SIGTERM)
    assert first.run.wait(60) == 143, first.log.read_text()
    second = Anna(experiment)
    assert second.answer() == 0, second.log.read_text()

    turns = rows(out / "cycle-000" / "turns.parquet")
    hers = [t for t in turns if t["agent"] == "anna"]
    assert len(hers) == len(first.seen) + len(second.seen)
    assert {t["finish"] for t in hers} == {"stop"}
    assert {t["text"] for t in hers} <= {"1", "2"}
    said = {(t["episode"], t["turn"]): int(t["answer"]) for t in turns if t["role"] == "policy"}
    taught = rows(out / "cycle-000" / "preferences.parquet")
    assert taught
    for pair in taught:
        chosen, rejected = (int(REPLY.findall(pair[side][-1]["content"])[0]) for side in SIDES)
        assert chosen > rejected
    assert len({*said.values()}) == 3
    assert (out / "cycle-000" / "weights" / "solver").is_dir()
    assert "may differ: anna answers as people do" in (out / "experiment.yaml").read_text()
    assert moot("run", experiment, "--out", out) == 0  # it is over: nobody is asked again


def test_a_plan_says_how_much_people_are_asked(
    experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert moot("plan", experiment) == 0

    told = capsys.readouterr().out
    assert f"people      anna: at most 48 questions, {FEWER}\n" in told  # three pairs of eight
    assert "memory      anna" not in told
    assert moot("plan", experiment, "--set", "evaluation.controls=true") == 0
    told = capsys.readouterr().out
    assert f"people      anna: at most 60 questions, {FEWER}, 12 of these in the controls" in told


def test_where_the_page_is_may_change_when_a_run_goes_on(experiment: Path) -> None:
    text = experiment.read_text().replace("method: {kind: dpo}\n", "").replace("learns: true", "")
    experiment.write_text(text)
    first = Anna(experiment)
    first.answer(most=2)
    first.run.send_signal(signal.SIGTERM)
    first.run.wait(60)
    experiment.write_text(text.replace("kind: human", "kind: human, host: 127.0.0.2"))
    second = Anna(experiment)

    second.answer(most=1)
    second.run.send_signal(signal.SIGTERM)
    assert second.run.wait(60) == 143
    assert "http://127.0.0.2:" in second.log.read_text()
