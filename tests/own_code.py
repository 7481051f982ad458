"""Code of the user's own, as the docs have it, beside an experiment."""

import re
from pathlib import Path

import pytest
from wrong import GOOD

from moot.agents.errors import InputError
from moot.experiments.yaml.loading import load

DOCS = Path(__file__).parents[1] / "docs"
BLOCKS = [
    block
    for page in DOCS.glob("*.md")
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
]


def page(line: str) -> str:
    """The block of code in the docs that has a line."""
    return next(block for block in BLOCKS if line in block)


RELAY, WORD, TESTS = page("class Relay"), page("class Word"), page("class Tests")
TALK = GOOD.replace("{kind: consensus}", "{kind: relay.py:Relay, laps: 2}")


def talk(folder: Path) -> Path:
    """The folder, with an experiment of a protocol of one's own."""
    (folder / "relay.py").write_text(RELAY)
    (folder / "x.yaml").write_text(TALK)
    return folder


def refusal(folder: Path, *sets: str) -> str:
    with pytest.raises(InputError) as error:
        load(folder / "x.yaml", sets)
    return str(error.value)


def changed(old: str, new: str) -> str:
    """The protocol, otherwise."""
    assert old in RELAY
    return RELAY.replace(old, new)


LAPS = '    laps: int = 1\n    """How often the answer goes down the row."""\n'
