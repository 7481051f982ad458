"""The report: one page that opens offline and says what a run was and what came of it.

All that agents said is untrusted: the template escapes everything, and the page allows itself no
script and no request.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..analysis.graph import COLUMNS, by_agent
from ..analysis.interaction import adoption
from ..files.table import whole
from ..progress import money
from . import figures, findings
from .controls import controls
from .conversations import Conversation, Ending, chosen, conversation, endings
from .drawing import Drawing, drawn
from .panel import judges, warnings
from .readings import Readings, Row, read
from .speakers import Account, accounts, phases, speakers
from .state import state
from .words import measured, share, signed, value

PAGES = Path(__file__).parent / "pages"

MOST_ROWS = 500
"""Longer tables are cut; the Parquet files hold everything."""
MOST_TEXT = 6_000
"""So many characters of one text are shown."""


def write(run: Path) -> Path:
    """Write `run`/report.html from the files of the run's directory, finished or not.

    Returns:
        The report's path.

    Raises:
        MootError: `run` isn't a run's directory.
    """
    text = page(read(run))
    path = run / "report.html"
    with whole(path) as beside:
        beside.write_text(text, encoding="utf-8", errors="replace")
    return path


def page(readings: Readings) -> str:
    """Return the report as HTML; the same files give the same page."""
    environment = Environment(
        loader=FileSystemLoader(PAGES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": plain,
        "several": several,
        "clip": clip,
        "value": value,
        "share": share,
        "measured": measured,
        "signed": signed,
        "thousands": thousands,
        "money": money,
    }
    episodes = endings(readings.talks)
    spent = accounts(readings.usage)
    talking = among(spent, readings.talks.values())
    judging = judges(readings.metrics)
    drawing = drawn(by_agent(readings.turns(COLUMNS)))
    return environment.get_template("report.html").render(
        run=readings,
        versions=readings.experiment.get("made_with") or {},
        state=state(readings),
        findings=findings.findings(readings),
        controls=controls(readings),
        accuracy=figures.accuracy(readings),
        by_weights=figures.by_weights(readings),
        win_rate=figures.win_rate(readings),
        reference=findings.reference_findings(episodes),
        judging=judging,
        with_people=any(judge.with_people for judge in judging),
        warnings=warnings(judging),
        talk_charts=figures.talk(readings),
        train_charts=figures.training(readings),
        talking=speakers(talking),
        examined=speakers(among(spent, readings.held_out.values())),
        phases=phases(spent),
        totals=totals(talking, episodes),
        drawing=drawing,
        adopted=adopted(readings, drawing),
        conversations=conversations(readings, episodes),
        pivot=pivot(readings.metrics),
        steps=steps_table(readings.metrics),
    )


def adopted(readings: Readings, drawing: Drawing) -> str:
    """Return how much of what policies heard they adopted; empty where there was nothing to."""
    if not any(edge.differed for edge in drawing.edges):
        return ""
    return findings.adopted(adoption(readings.turns(COLUMNS), readings.seed))


def conversations(readings: Readings, episodes: Iterable[Ending]) -> list[Conversation]:
    """Return a few episodes to be read."""
    return [conversation(one, readings.talks[one.cycle]) for one in chosen(episodes)]


def among(spent: Iterable[Account], folders: Iterable[Path]) -> list[Account]:
    """Return the accounts of the phases whose folders these are."""
    names = {folder.name for folder in folders}
    return [one for one in spent if one.phase in names]


def totals(talking: Sequence[Account], episodes: Sequence[Ending]) -> dict[str, int]:
    """Return how much talk there was."""
    return {
        "agents": len({one.agent for one in talking}),
        "episodes": len(episodes),
        "turns": sum(one.spent.calls for one in talking),
        "tokens": sum(one.tokens for one in talking),
    }


def pivot(metrics: Iterable[Row]) -> tuple[list[int], dict[str, dict[int, Row]]]:
    """Return the cycles, and for each metric that is not per step its row in each of them."""
    found: dict[str, dict[int, Row]] = {}
    for row in sorted(metrics, key=lambda row: row["name"]):
        if row["step"] is None:
            found.setdefault(row["name"], {})[row["cycle"]] = row
    return sorted({cycle for seen in found.values() for cycle in seen}), found


def steps_table(
    metrics: Iterable[Row],
) -> tuple[list[str], list[tuple[int, int, dict[str, float]]]]:
    """Return the metrics of the training, and their values at each (cycle, step)."""
    stepped = [row for row in metrics if row["step"] is not None]
    found: dict[tuple[int, int], dict[str, float]] = {}
    for row in sorted(stepped, key=lambda row: (row["cycle"], row["step"])):
        found.setdefault((row["cycle"], row["step"]), {})[row["name"]] = row["value"]
    some = [(cycle, step, seen) for (cycle, step), seen in found.items()]
    return figures.metric_names(stepped), some[:MOST_ROWS]


def plain(setting: Any) -> str:
    """Return a setting for reading."""
    match setting:
        case None:
            return "none"
        case bool():
            return "yes" if setting else "no"
        case float():
            return f"{setting:g}"
        case dict():
            said = {key: child for key, child in setting.items() if child not in (None, "", [])}
            return ", ".join(f"{key} {plain(child)}" for key, child in said.items()) or "none"
        case list() if len(setting) > 8:
            return f"{len(setting)} entries"
        case list():
            return ", ".join(map(plain, setting)) or "none"
        case _:
            return clip(str(setting), 300)


def several(setting: Any) -> list[Any]:
    """Return what may be a single one or a list of them as a list."""
    return setting if isinstance(setting, list) else [setting]


def clip(text: str, most: int = MOST_TEXT) -> str:
    """Return `text`, cut where it is too long for a page."""
    return text if len(text) <= most else f"{text[:most].rstrip()} … ({len(text):,} characters)"


def thousands(number: float) -> str:
    """Return a count with its thousands apart."""
    return f"{number:,.0f}".replace(",", "\u202f")
