"""The report: what it says, what it must not contain, and runs that are not finished."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moot.agents.errors import MootError
from moot.agents.population import Agent, Population, anchor
from moot.agents.types import Completion, Task
from moot.experiments.report.page import clip, plain, write
from moot.experiments.store import write_episodes, write_metrics, write_usage
from moot.protocols.consensus import Consensus
from moot.protocols.journal import Metric
from moot.protocols.ledger import Spent, Usage
from moot.protocols.synthesis import Synthesis
from moot.protocols.types import Episode, Protocol, Say, Turn

EVIL = "</script><script>alert(1)</script><img src=https://evil.example/x onerror=alert(2)>"

RESOLVED = """\
name: sums & <b>differences</b>
seed: 7
cycles: 2
engines:
  main: {kind: local, model: smollm2-135m-instruct, limits: {concurrency: 64}}
population:
- {name: solver, role: policy, count: 4, engine: null, persona: '', learns: true, adapters: shared,
   sampling: {temperature: 0.7, top_p: 1.0, max_tokens: 8}}
tasks: {kind: file, path: sums.jsonl, verifier: number, held_out: 12, per_cycle: 6}
protocol: {kind: synthesis, samples: 1, question: hidden}
method: {kind: cat, objective: {kl: 0.001}}
fit: {lr: 0.0003, epochs: 1, lora: {rank: 16, targets: all-linear}}
evaluation: {samples: 4, baseline: true}
stage: {episodes: 64}
made_with: {moot: 0.1.0, torch: 2.13.0}
"""


class Number:
    """Reads the last word of digits."""

    def read(self, text: str) -> str | None:
        found = re.findall(r"\d+", text.partition("<")[0])
        return found[-1] if found else None

    def score(self, answer: str, expected: str) -> float:
        return float(answer == expected)


def told(task: Task, protocol: Protocol, people: Population, texts: Sequence[str]) -> Episode:
    """Play a protocol by hand: its n-th turn says texts[n]."""
    script, turns, round_ = protocol(task, people), list[Turn](), 0
    says: list[Say] = next(script)
    while True:
        spoken: list[Turn] = []
        for say in says:
            text = texts[len(turns) + len(spoken)]
            said = Completion(text, "stop", say.agent.version, len(say.text) // 4, 3, 0.25)
            index, prompt = len(turns) + len(spoken), say.agent.prompt(say.text)
            answer = task.verifier.read(text)
            spoken.append(Turn(index, round_, say.agent, prompt, said, say.heard, answer))
        turns, round_ = [*turns, *spoken], round_ + 1
        try:
            says = script.send(spoken)
        except StopIteration as end:
            return Episode(f"e/{task.id}", task, protocol.kind, tuple(turns), end.value)


def people(version: int) -> Population:
    """Return four solvers that share weights."""
    solver = {"role": "policy", "engine": "main", "weights": "solver"}
    return Population(
        tuple(Agent(name=f"solver-{i}", **solver, version=version) for i in range(4))  # pyright: ignore[reportArgumentType]
    )


def sums(first: int, n: int) -> list[Task]:
    """Return n sums."""
    pairs = [(i, 2 * i + 1) for i in range(first, first + n)]
    return [Task(f"{a}+{b}", f"What is {a} + {b}?", str(a + b), Number()) for a, b in pairs]


def says(task: Task, skill: float, rng: Random, n: int) -> list[str]:
    """Return n answers of which about `skill` are right."""
    assert task.answer is not None
    wrong = str(int(task.answer) + 1)
    return [f"It is {task.answer if rng.random() < skill else wrong}." for _ in range(n)]


def talk(run: Path, cycle: int, skill: float) -> list[Metric]:
    """Write a cycle's talk; its first answer is hostile, and one reference differs."""
    rng, synthesis, episodes = Random(cycle), Synthesis(), list[Episode]()
    for i, task in enumerate(sums(100 * cycle, 6)):
        texts = [*says(task, skill, rng, 4), f"The answer is {task.answer}."]
        texts[0] = EVIL if i == 0 else texts[0]
        episodes.append(told(task, synthesis, people(cycle), texts))
    write_episodes(run / f"cycle-{cycle:03d}", cycle, episodes)
    steps = [
        Metric(cycle, f"train/{name}", 0.5 / (step + 1), step=step)
        for step in (0, 1)
        for name in ("loss", "reward", "oddity")
    ]
    return [Metric(cycle, "talk/agreement", 0.6), Metric(cycle, "talk/accuracy", skill), *steps]


def evaluation(run: Path, version: int, skill: float) -> list[Metric]:
    """Write a held-out evaluation."""
    rng, vote = Random(40 + version), Consensus(samples=4)
    alone = Population(people(version).agents[:1])
    tasks = sums(1000, 12)
    episodes = [told(task, vote, alone, says(task, skill, rng, 4)) for task in tasks]
    write_episodes(run / f"held-out-{version:03d}", version, episodes)
    measured = [("accuracy", skill), ("majority", skill), ("unreadable", 0.0)]
    return [
        Metric(version, f"held_out/{n}", v, max(0, v - 0.1), min(1, v + 0.1)) for n, v in measured
    ]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run of two cycles."""
    (tmp_path / "experiment.yaml").write_text(RESOLVED)
    metrics = evaluation(tmp_path, 0, 0.3)
    for cycle, skill in enumerate((0.6, 0.95)):
        metrics += talk(tmp_path, cycle, skill) + evaluation(tmp_path, cycle + 1, skill)
    untrained = Population((replace(people(0).agents[0], weights=None),))
    votes = [told(t, Consensus(samples=2), untrained, ["It is 0."] * 2) for t in sums(1000, 12)]
    write_episodes(tmp_path / "baseline", 0, votes)
    metrics += [Metric(2, "baseline/majority", 0.5, 0.4, 0.6), Metric(2, "baseline/votes", 23)]
    write_metrics(tmp_path / "metrics.parquet", metrics)
    return tmp_path


class Page(HTMLParser):
    """What a page is made of: its tags, their attributes, and what is read."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.read: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "br", "path", "circle", "polygon"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"path", "circle", "polygon"}:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.read.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.read).split())


def shown(run: Path) -> Page:
    return Page(write(run).read_text())


def test_the_page_begins_with_what_was_found(run: Path) -> None:
    text = shown(run).text

    assert re.search(
        r"Held-out accuracy rose from 0\.30 \[0\.20, 0\.40\] to 0\.95 \[0\.85, 1\.00\] over two "
        r"cycles \(paired difference \+0\.\d\d \[\+0\.\d\d, \+0\.\d\d\]\)\.",
        text,
    )
    assert re.search(
        r"The untrained model's vote of 23, at the same compute, gives 0\.50 \[0\.40, 0\.60\]: a "
        r"single answer of the trained model is better \(paired difference \+0\.9\d \[\+0\.\d\d, ",
        text,
    )
    assert "finished: two cycles" in text


def test_what_agents_said_is_text_and_nothing_else(run: Path) -> None:
    raw = write(run).read_text()

    assert EVIL not in raw
    assert EVIL in Page(raw).text
    assert "sums & <b>differences</b>" in Page(raw).text
    assert not {"script", "img", "iframe", "object", "embed"} & {tag for tag, _ in Page(raw).tags}


def test_the_page_asks_for_nothing_from_outside(run: Path) -> None:
    raw = write(run).read_text()
    styles = re.findall(r"<style>(.*?)</style>", raw, re.DOTALL)

    for _, attributes in Page(raw).tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,"))
        assert "url(" not in (attributes.get("style") or "")
    assert "url(" not in "".join(styles)
    assert "@import" not in "".join(styles)
    assert "default-src 'none'" in raw


def test_the_page_is_well_formed_and_its_ids_and_links_fit(run: Path) -> None:
    page = shown(run)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    links = {str(a["href"])[1:] for tag, a in page.tags if tag == "a"}

    assert page.open == []
    assert len(ids) == len(set(ids))
    assert links <= set(ids)
    for tag, attributes in page.tags:
        if tag == "svg":
            assert set(str(attributes["aria-labelledby"]).split()) <= set(ids)


def test_the_same_files_give_the_same_page(run: Path) -> None:
    assert write(run).read_bytes() == write(run).read_bytes()
    assert sorted(p.name for p in run.glob("*.html*")) == ["report.html"]


def test_episodes_are_there_to_be_read(run: Path) -> None:
    text = shown(run).text

    assert "the population was right" in text
    assert "no readable answer" in text
    assert "What is 0 + 1?" in text
    assert "match: 1, by turn 4" in text
    assert "solver v1" in text
    assert "the reference differs from the majority" in text
    assert re.search(r"differs from the majority .* in \w+ of \w+ episodes", text)


def test_unknown_metrics_are_shown_too(run: Path) -> None:
    text = shown(run).text

    assert "oddity" in text
    assert "swap/canary_change" not in text


def test_no_learning_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(RESOLVED)
    metrics = evaluation(tmp_path, 0, 0.5) + evaluation(tmp_path, 1, 0.5)
    write_metrics(tmp_path / "metrics.parquet", metrics)
    text = shown(tmp_path).text

    assert "No learning was shown" in text
    assert "includes zero" in text
    assert "No weights were trained in this run." in text
    assert "not finished: 1 of two cycles" in text


def test_what_learnt_verdicts_are_worth_is_said(run: Path) -> None:
    found = pq.read_table(run / "metrics.parquet").to_pylist()
    learnt = {"verification_f1": 0.8, "verification_auc": 0.9, "weighted_majority": 1.0}
    known = [Metric(**row | {"step": -1 if row["step"] is None else row["step"]}) for row in found]
    more = [Metric(2, f"held_out/{name}", v, v - 0.1, v) for name, v in learnt.items()]
    write_metrics(run / "metrics.parquet", [*known, *more])

    text = shown(run).text

    assert (
        "Its verdicts on its own answers: F1 0.80 [0.70, 0.80], and a right answer's is higher "
        "than a wrong one's in 0.90 [0.80, 0.90] of pairs; the vote that they weigh gives 1.00 "
        "[0.90, 1.00]."
    ) in text
    assert "their vote, weighed by their verdicts" in text


def test_a_fall_is_called_a_fall(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(RESOLVED)
    metrics = evaluation(tmp_path, 0, 0.95) + evaluation(tmp_path, 1, 0.1)
    write_metrics(tmp_path / "metrics.parquet", metrics)

    assert "Held-out accuracy fell from 0.95" in shown(tmp_path).text


def test_a_run_that_has_just_begun_has_a_report(tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text(RESOLVED)

    assert "This run has just begun" in shown(tmp_path).text


@pytest.mark.parametrize(
    "gone",
    [
        "metrics.parquet",
        "cycle-000/turns.parquet",
        "cycle-001/episodes.parquet",
        "cycle-001/verdicts.parquet",
        "held-out-000/turns.parquet",
        "held-out-002/episodes.parquet",
    ],
)
def test_any_file_may_be_missing(run: Path, gone: str) -> None:
    (run / gone).unlink()

    assert shown(run).text


def test_a_broken_file_is_named_and_the_rest_is_shown(run: Path) -> None:
    (run / "cycle-000" / "turns.parquet").write_bytes(b"PAR1 and no more")
    pq.write_table(pa.table({"cycle": [1]}), run / "cycle-001" / "episodes.parquet")
    text = shown(run).text

    assert "Could not be read: cycle-000/turns.parquet" in text
    assert "Could not be read: cycle-001/episodes.parquet: it has no column episode" in text
    assert "Held-out accuracy rose" in text


def test_several_weights_are_shown_each(run: Path) -> None:
    metrics = [
        Metric(n, f"held_out/accuracy{of}", 0.5, 0.4, 0.6)
        for n in (0, 1, 2)
        for of in ("", "@left", "@right")
    ]
    write_metrics(run / "metrics.parquet", metrics)
    text = shown(run).text

    assert "Held-out accuracy of each weights" in text
    assert "right" in text


def test_values_that_are_no_numbers_leave_a_chart_standing(run: Path) -> None:
    metrics = [
        Metric(0, "train/loss", value, step=i) for i, value in enumerate((1.0, float("nan")))
    ]
    write_metrics(run / "metrics.parquet", metrics)

    assert "nan" not in re.findall(r'd="([^"]*)"', write(run).read_text())


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MootError, match=r"holds no run \(there is no experiment.yaml\)"):
        write(tmp_path)
    with pytest.raises(MootError, match="no such directory"):
        write(tmp_path / "nowhere")
    (tmp_path / "experiment.yaml").write_text("a: [1")
    with pytest.raises(MootError, match="isn't YAML"):
        write(tmp_path)
    (tmp_path / "experiment.yaml").write_text("- 1")
    with pytest.raises(MootError, match="expected an experiment, got list"):
        write(tmp_path)


def test_settings_and_texts_are_shortened_for_reading() -> None:
    assert plain({"rank": 16, "lr": 3e-4, "kl": None, "on": True}) == ("rank 16, lr 0.0003, on yes")
    assert plain(list(range(9))) == "9 entries"
    assert clip("x" * 5000, 10) == "xxxxxxxxxx … (5,000 characters)"


def test_the_anchor_is_drawn_among_the_solvers(run: Path) -> None:
    name = anchor(people(0).agents[0]).name

    assert f"{name} heard solver-0 12 times" in shown(run).text


def test_a_vote_that_is_still_to_be_taken_is_named(run: Path) -> None:
    path = run / "metrics.parquet"
    metrics = pq.read_table(path)
    kept = [row for row in metrics.to_pylist() if not row["name"].startswith("baseline/")]
    pq.write_table(pa.Table.from_pylist(kept, schema=metrics.schema), path)

    assert "No weights were trained in this run." in shown(run).text
    (run / "cycle-000" / "weights" / "pupil").mkdir(parents=True)
    found = shown(run).text
    assert "vote at the same compute has not been taken yet" in found
    assert "No weights were trained" not in found


def spent(phase: str, agent: str, group: str, spent: Spent) -> Usage:
    return Usage(phase, "debate", agent, group, "policy", "main", spent)


def table(run: Path, title: str) -> list[list[str]]:
    """Return the cells of the first table after `title`, without its head."""
    after = write(run).read_text().partition(f">{title}<")[2].partition("</table>")[0]
    rows = re.findall(r"<tr.*?</tr>", after.partition("<tbody>")[2], re.DOTALL)
    return [
        [Page(f"<p>{cell}</p>").text for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)]
        for row in rows
    ]


def test_what_was_spent_stands_by_agent_and_by_phase_as_they_were_played(run: Path) -> None:
    assert "No phase has ended yet." in shown(run).text
    usage = [
        spent("baseline", "solver-0", "solver", Spent(1, 10, 0, 5, 2.0)),
        spent("controls-vote", "solver-0", "solver", Spent(1, 10, 0, 5, 2.0)),
        spent("cycle-000", "solver-0", "solver", Spent(10, 1000, 710, 50, 2.0, 3, 1.25)),
        spent("cycle-000", "solver-1", "solver", Spent(10, 1000, 0, 50, 2.0)),
        spent("cycle-001", "solver-0", "solver", Spent(10, 1000, 0, 50, 2.0, 0, 2.25)),
        spent("held-out-000", "solver-0", "solver", Spent(4, 40, 0, 20, 2.0)),
        spent("held-out-001", "solver-0", "solver", Spent(4, 40, 0, 20, 2.0)),
    ]
    write_usage(run / "usage.parquet", usage)
    text = shown(run).text

    assert table(run, "The talk, by agent") == [
        ["solver-0", "policy", "20", "2 000", "36%", "100", "", "4.0", "0.20", "3", "3.50"],
        ["solver-1", "policy", "10", "1 000", "–", "50", "", "2.0", "0.20", "0", "–"],
    ]
    phases = table(run, "By phase")
    assert phases[1][:4] == ["cycle-000", "debate", "20", "2 000"]
    assert [row[0] for row in phases] == [
        "held-out-000",
        "cycle-000",
        "held-out-001",
        "cycle-001",
        "controls-vote",
        "baseline",
    ]
    assert "In all it cost 3.50, at the prices that the experiment names" in text


def test_many_agents_are_accounted_for_by_group(run: Path) -> None:
    usage = [
        spent("cycle-000", f"{group}-{i}", group, Spent(1, 10, 0, 5, 0.5))
        for group in ("left", "right")
        for i in range(30)
    ]
    write_usage(run / "usage.parquet", usage)
    text = shown(run).text

    assert table(run, "The talk, by agent")[0] == (
        ["left", "policy", "30", "300", "–", "150", "", "15.0", "0.50", "0"]
    )
    assert "right-7" not in text
    assert "In all it cost" not in text
