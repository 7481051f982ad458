"""Drafts: criteria as agents write them, in JSON of a form or, failing that, line by line."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

from ..asking import objects
from .criteria import Criterion, tidied

Weights = Literal["uniform", "labelled", "signed"]
"""What decides how much a criterion is worth."""
LABELS = {"essential": 1.0, "important": 0.7, "optional": 0.3, "pitfall": 0.9}
"""What labels are worth (Rubrics as Rewards, arXiv:2507.17746; its first version has 0.8 for a
pitfall).  A pitfall's criterion says that it is avoided."""
MOST_POINTS = 10

ITEM = re.compile(r"[ \t]*(?:[-*•–]|\(?\d{1,3}[.):])[ \t]+(\S.*)")
WORTH = rf"(?P<label>{'|'.join(LABELS)})|(?P<points>[-+−]?\d{{1,3}})\s*(?:points?|pts?)?"
FIRST = re.compile(
    rf"(?:[\[(]\s*(?:{WORTH})\s*[\])]|(?P<named>{'|'.join(LABELS)})(?=\s?:|\s[–-]\s))"
    r"\s*[:–-]?\s*",
    re.IGNORECASE,
)
LAST = re.compile(rf"[\[(]\s*(?:{WORTH})\s*[\])]\.?$", re.IGNORECASE)


def shape(weights: Weights, most: int) -> str:
    """Return the JSON Schema of a draft."""
    worth: dict[Weights, dict[str, Any]] = {
        "uniform": {},
        "labelled": {"label": {"enum": list(LABELS)}},
        "signed": {"points": {"type": "integer", "minimum": -MOST_POINTS, "maximum": MOST_POINTS}},
    }
    fields = {"text": {"type": "string"}, **worth[weights]}
    item = {"type": "object", "properties": fields, "required": list(fields)}
    criteria = {"type": "array", "items": item, "maxItems": most}
    return json.dumps(
        {"type": "object", "properties": {"criteria": criteria}, "required": ["criteria"]}
    )


def drafted(text: str, weights: Weights, by: int) -> list[Criterion] | None:
    """Return the criteria that turn `by` proposes in `text`; `None`: none can be read.

    They are those of the last JSON object that lists some, or the JSON objects that each are one
    (of a list that was cut off, say), or the numbered or bulleted lines.  One whose worth can't be
    read is none.
    """
    for found in (_listed(text), _lines(text)):
        read = [(tidied(item["text"]), worth(item, weights)) for item in found]
        if criteria := [Criterion(said, points, by) for said, points in read if points]:
            return criteria
    return None


def worth(item: Mapping[str, Any], weights: Weights) -> float | None:
    """Return the points of a proposed criterion; `None`: they can't be read, or are 0."""
    match weights:
        case "uniform":
            return 1.0
        case "labelled":
            return LABELS.get(str(item.get("label")).strip().casefold())
        case "signed":
            said = str(item.get("points")).strip().replace("−", "-")
            points = float(said) if re.fullmatch(r"[-+]?\d{1,3}(\.\d+)?", said) else 0
            return points if 0 < abs(points) <= MOST_POINTS else None


def _listed(text: str) -> list[Mapping[str, Any]]:
    found = list(objects(text))  # the last first
    for value in found:
        if isinstance(value.get("criteria"), list):
            items = [
                _marked(i) if isinstance(i, str) else i for i in cast(list[Any], value["criteria"])
            ]
            return [item for item in items if _is_item(item)]
    return [value for value in reversed(found) if _is_item(value)]


def _is_item(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(cast(dict[str, Any], value).get("text"), str)


def _lines(text: str) -> Iterator[Mapping[str, Any]]:
    for line in text.splitlines():
        item = ITEM.fullmatch(re.sub(r"\*\*|__|`", "", line))
        if item and not item[1].endswith(":"):  # a heading
            yield _marked(item[1])


def _marked(text: str) -> Mapping[str, Any]:
    """Return a criterion with the label or the points that stand before or behind it."""
    text = tidied(text)
    if first := FIRST.match(text):
        label = first["label"] or first["named"]
        return {"text": text[first.end() :], "label": label, "points": first["points"]}
    if last := LAST.search(text):
        return {"text": text[: last.start()], "label": last["label"], "points": last["points"]}
    return {"text": text}
