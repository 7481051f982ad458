"""YAML text → plain data, with the place in the file of every key and value.

YAML 1.2: `no` is text and `1e-5` a number.  Nothing is constructed but text, numbers, booleans,
null, lists (as tuples) and mappings; every other tag is refused, and so is what expands without
bound.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from moot.agents.errors import InputError
from moot.agents.types import HALF

Steps = tuple[str | int, ...]
Problem = tuple[Steps, str]
"""Where in the file, and what is wrong there."""

MOST_BYTES, MOST_NODES, MOST_DEPTH = 1_000_000, 100_000, 40
LONGEST_NUMBER = 400
"""Digits; a longer number is text, and so never what was expected."""
PLAIN = re.compile(r"tag:yaml\.org,2002:(map|seq)")


@dataclass(frozen=True, slots=True)
class Source:
    """Plain data, and where each of its parts stands."""

    name: str
    data: Any
    places: dict[Steps, str] = field(default_factory=dict[Steps, str])
    """Where a value stands, as `x.yaml:3:7`, by its path."""

    def key(self, path: Steps) -> str:
        """Return where the last key of `path` stands."""
        return self.places.get((*path, "key")) or self.place(path)

    def place(self, path: Steps) -> str:
        """Return where the value at `path`, or the nearest thing around it, stands."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, self.name)


def read(path: Path) -> Source:
    """Return the data in the file at `path`."""
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a directory; expected an experiment file")
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path}: too large for an experiment file (over 1 MB)")
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    return parse(text, str(path))


def parse(text: str, name: str) -> Source:
    """Return the data in `text`; `name` is what errors call it."""
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise InputError(f"{place}: not YAML: {_said(error)}") from None
    except (YAMLError, RecursionError, ValueError) as error:
        said = " ".join(str(error).split()) or "nested too deeply"
        raise InputError(f"{name}: not YAML: {said[:200]}") from None
    if node is None:
        raise InputError(f"{name}: is empty; expected an experiment")
    reader = _Reader(name)
    data = reader.value(node, ())
    if reader.problems:
        raise InputError("\n".join(reader.problems))
    return Source(name, data, reader.places)


def _said(error: MarkedYAMLError) -> str:
    """Return in a line what the YAML reader stumbled over."""
    problem = error.problem or error.context or "can't be read"
    if problem.startswith("but ") and error.context:
        problem = f"{error.context}, {problem}"
    return f"{problem}; indent with spaces" if "'\\t'" in problem else problem


def _integer(text: str) -> int:
    return int(text, 0 if text.lstrip("+-").startswith(("0x", "0o")) else 10)


def _number(text: str) -> float:
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


READERS: Mapping[str, Callable[[str], Any]] = {
    "null": {"": None, "~": None, "null": None}.__getitem__,
    "bool": {"true": True, "false": False}.__getitem__,
    "int": _integer,
    "float": _number,
}
"""How the scalars of YAML 1.2's core schema are read, in small letters without underscores."""


class _Reader:
    """Turns nodes into data; notes places, and what may not be."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[Steps, str] = {}
        self.problems: list[str] = []
        self._nodes = 0

    def value(self, node: Node, path: Steps) -> Any:
        """Return what a node says; aliases are followed, within bounds."""
        place = self._place(node)
        self.places[path] = place
        self._nodes += 1
        if self._nodes > MOST_NODES or len(path) > MOST_DEPTH:
            raise InputError(f"{place}: expands to too much; are there aliases of aliases?")
        if isinstance(node, MappingNode | SequenceNode) and not PLAIN.fullmatch(str(node.tag)):
            return self._refuse(node)
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return tuple(self.value(child, (*path, i)) for i, child in enumerate(node.value))
        assert isinstance(node, ScalarNode)
        return self._scalar(node)

    def _mapping(self, node: MappingNode, path: Steps) -> dict[str, Any]:
        found: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key, child in node.value:
            if not isinstance(key, ScalarNode) or key.value == "<<":
                wrong = "keys are text" if not isinstance(key, ScalarNode) else "no merging (<<)"
                self.problems.append(f"{self._place(key)}: {wrong} here; write the keys out")
                continue
            name = str(key.value)
            if name in found:
                self.problems.append(
                    f"{self._place(key)}: duplicate key '{name}', first on line {lines[name]}"
                )
                continue
            lines[name] = key.start_mark.line + 1
            found[name] = self.value(child, (*path, name))
            self.places[*path, name, "key"] = self._place(key)
        return found

    def _scalar(self, node: ScalarNode) -> Any:
        text, kind = str(node.value), str(node.tag).rpartition(":")[2]
        if half := HALF.search(text):
            wrong = f"{half[0]!r} is half a surrogate pair, no character"
            self.problems.append(f"{self._place(node)}: {wrong}")
        if node.style in ("'", '"', "|", ">"):
            kind = "str"
        if kind in ("str", "timestamp", "value") or len(text) > LONGEST_NUMBER:
            return text
        try:
            return READERS[kind](text.lower().replace("_", ""))
        except KeyError:
            return self._refuse(node)
        except ValueError:
            self.problems.append(f"{self._place(node)}: {text!r} is no {kind} in YAML 1.2")
            return None

    def _refuse(self, node: Node) -> None:
        self.problems.append(f"{self._place(node)}: the tag {node.tag} is not allowed here")

    def _place(self, node: Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"


def assign(source: Source, setting: str) -> Source:
    """Return `source` with one `path.to.key=value` set; the value is YAML."""
    dotted, equals, text = setting.partition("=")
    label = f"--set {dotted}"
    if not equals or not dotted:
        raise InputError(f"{label}: expected path.to.key=value")
    try:
        value = parse(text, label).data if text.strip() else ""
    except InputError as error:
        if not text.startswith("{"):
            raise
        quoted = f"text that begins with a brace needs quotes: '{dotted}=\"{{...\"'"
        raise InputError(f"{error}; {quoted}") from None
    path: Steps = ()
    current = source.data
    for step in dotted.split("."):
        if isinstance(current, tuple):
            if not step.isdecimal() or int(step) >= len(current):
                at = ".".join(map(str, path))
                raise InputError(f"{label}: {at} has the entries 0 to {len(current) - 1}")
            path, current = (*path, int(step)), current[int(step)]
        elif isinstance(current, dict) or current is None:
            path, current = (*path, step), (current or {}).get(step)
        else:
            at = ".".join(map(str, path))
            raise InputError(f"{label}: {at} is {current!r} and has no {step!r} in it")
    places = {p: at for p, at in source.places.items() if p[: len(path)] != path}
    return Source(source.name, _replaced(source.data, path, value), places | {path: "--set"})


def _replaced(data: Any, path: Steps, value: Any) -> Any:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(data, tuple):
        return tuple(
            _replaced(old, rest, value) if i == step else old for i, old in enumerate(data)
        )
    data = data or {}
    return {**data, step: _replaced(data.get(step), rest, value)}
