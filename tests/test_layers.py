"""The layers: a folder imports only the folders to its left, by their `moot.` names."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ["agents", "protocols", "training", "experiments"]
FILES = [path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_left(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    forbidden = {f"moot.{name}" for name in LAYERS[LAYERS.index(layer) :]} | set(LAYERS)

    for module in imported(path):
        head = ".".join(module.split(".")[: 2 if module.startswith("moot.") else 1])
        assert head not in forbidden, f"{path.relative_to(ROOT)} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_training_sees_records_and_never_a_protocol(path: Path) -> None:
    if path.relative_to(ROOT).parts[0] == "training":
        seen = {module for module in imported(path) if module.startswith("moot.protocols")}
        assert seen <= {"moot.protocols.types"}


def test_every_folder_of_code_is_installed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {str(path.parent.relative_to(ROOT)) for path in FILES}

    assert settings["package-dir"].keys() == {*settings["packages"]}
    assert {*settings["package-dir"].values()} == folders
