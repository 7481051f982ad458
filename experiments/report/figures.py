"""Figures: which metrics of a run stand together in a chart."""

from collections.abc import Iterable, Mapping

from .charts import Chart, Point, Series, chart
from .evaluations import whole_cycles
from .readings import Readings, Row

HELD_OUT = {
    "held_out/accuracy": "single answers",
    "held_out/majority": "their vote",
    "held_out/weighted_majority": "their vote, weighed by their verdicts",
}

TALK = {
    "Right in the talk": {
        "talk/accuracy": "single answers",
        "talk/majority_accuracy": "the majority",
        "talk/reference_accuracy": "the reference",
    },
    "Right before and after hearing others": {
        "talk/first_accuracy": "first answers",
        "talk/first_majority_accuracy": "their majority",
        "talk/accuracy": "last answers",
    },
    "Changed by hearing others": {
        "talk/corrected": "from wrong to right",
        "talk/corrupted": "from right to wrong",
    },
    "Agreement with the majority": {"talk/agreement": "agreement"},
    "Where reference and majority differ": {
        "talk/reference_differs": "how often they do",
        "talk/reference_right_when_differs": "reference right then",
        "talk/majority_right_when_differs": "majority right then",
    },
    "Graded for the training": {
        "talk/reward": "mean reward",
        "talk/alike": "groups all graded alike",
    },
    "Answers that can't be read": {
        "talk/unreadable": "answers",
        "talk/reference_unreadable": "references",
    },
}

TRAIN = {
    "loss": "Loss",
    "reward": "Mean reward of what was trained on",
    "entropy": "Entropy, nats a token",
    "grad_norm": "Gradient norm",
    "kl": "KL to the anchor, nats",
    "kl_least": "KL to the anchor at least, nats",
    "clip_fraction": "Clipped share of tokens",
    "length": "Length, tokens",
    "distinct": "Share of an episode's texts that differ",
    "commonest": "Share of the commonest answer",
}


def accuracy(readings: Readings) -> Chart | None:
    """Return held-out accuracy over cycles, with the untrained model's vote beside it."""
    votes = whole_cycles(readings.metrics, "baseline/votes")
    cast = f" of {max(votes.items())[1].value:.0f}" if votes else ""
    return chart(
        "Held-out accuracy over cycles",
        [
            *(over_cycles(readings.metrics, name, label) for name, label in HELD_OUT.items()),
            over_cycles(
                readings.metrics, "baseline/majority", f"untrained model's vote{cast}", level=True
            ),
        ],
        x_title="cycle",
        share=True,
        width=640,
        height=300,
    )


def win_rate(readings: Readings) -> Chart | None:
    """Return the win rate over cycles, with chance beside it; `None`: it wasn't asked for."""
    rate = over_cycles(readings.metrics, "held_out/win_rate", "the trained over the untrained")
    even = Series("even", tuple(Point(point.x, 0.5) for point in rate.points), level=True)
    title = "Win rate on held-out tasks, as judged"
    return chart(title, [rate, even], x_title="cycle", share=True, width=640, height=300)


def by_weights(readings: Readings) -> Chart | None:
    """Return held-out accuracy of each of several weights; `None`: there is one at most."""
    names = by_metric(metric_names(readings.metrics)).get("held_out/accuracy", [])
    each = [
        over_cycles(readings.metrics, name, name.partition("@")[2]) for name in names if "@" in name
    ]
    title = "Held-out accuracy of each weights"
    return chart(title, each, x_title="cycle", share=True, width=640, height=300)


def talk(readings: Readings) -> list[Chart]:
    """Return what was measured of the talk, cycle by cycle.

    The first line is what a chart is about: it is left out without, as where nobody heard anybody.
    """
    measured = metric_names(readings.metrics)
    made = (
        chart(
            title,
            [over_cycles(readings.metrics, name, label) for name, label in lines.items()],
            x_title="cycle",
            share=True,
        )
        for title, lines in TALK.items()
        if next(iter(lines)) in measured
    )
    return [one for one in made if one is not None]


def training(readings: Readings) -> list[Chart]:
    """Return every metric of the training, step by step; faint lines are where cycles begin."""
    stepped = [row for row in readings.metrics if row["step"] is not None]
    stepped.sort(key=lambda row: (row["cycle"], row["step"]))
    steps = dict.fromkeys((row["cycle"], row["step"]) for row in stepped)
    places = {at: i for i, at in enumerate(steps, 1)}
    starts = {cycle: i for (cycle, _), i in reversed(places.items())}
    points: dict[str, list[Point]] = {}
    for row in stepped:
        point = Point(places[row["cycle"], row["step"]], row["value"])
        points.setdefault(row["name"], []).append(point)
    names = by_metric(metric_names(stepped))
    order = [f"train/{name}" for name in TRAIN]
    made: list[Chart | None] = []
    for name in sorted(names, key=lambda n: (order.index(n) if n in order else len(order), n)):
        series = [
            Series(full.partition("@")[2] or "all weights", tuple(points[full]))
            for full in names[name]
        ]
        title = TRAIN.get(name.removeprefix("train/"), name)
        made.append(chart(title, series, x_title="step", marks=starts.values()))
    return [one for one in made if one is not None]


def over_cycles(metrics: Iterable[Row], name: str, label: str, level: bool = False) -> Series:
    """Return one metric over the cycles."""
    return Series(
        label,
        tuple(
            Point(row["cycle"], row["value"], row["low"], row["high"])
            for row in sorted(metrics, key=lambda row: row["cycle"])
            if row["name"] == name and row["step"] is None
        ),
        level,
    )


def metric_names(metrics: Iterable[Row]) -> list[str]:
    """Return the metrics' names, each once."""
    return sorted({row["name"] for row in metrics})


def by_metric(names: Iterable[str]) -> Mapping[str, list[str]]:
    """Return metrics' names by what they are without the weights they are of (name@weights)."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(name.partition("@")[0], []).append(name)
    return found
