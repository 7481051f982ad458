"""What an experiment names from where its file lies: files, texts in files, models in folders.

The folder of the experiment file is the context of the validation; without one nothing is changed.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from .types import Settings
from .weights.catalogue import CATALOGUE

LONGEST_TEXT = 1_000_000
"""Bytes."""


class TextFile(Settings):
    """A text that stands in a file."""

    file: str
    """Its path, relative to the experiment file's folder."""


def _absolute(path: str, info: ValidationInfo) -> str:
    return path if info.context is None or "\0" in path else str(info.context / path)


def _model(model: str, info: ValidationInfo) -> str:
    if info.context is None or model in CATALOGUE or not model.strip():
        return model
    try:
        names_folder = model.startswith(("./", "../")) or (info.context / model).is_dir()
    except (OSError, ValueError):  # a name too long, a NUL
        return model
    return str(info.context / model) if names_folder else model


def read_text(named: TextFile, info: ValidationInfo) -> tuple[Path, str]:
    """Return where the file lies, and its text; a `ValueError` says why it can't be had."""
    path = Path(_absolute(named.file, info))
    try:
        if path.stat().st_size > LONGEST_TEXT:
            raise ValueError(f"{path}: too large for a text (over 1 MB)")
        return path, path.read_text("utf-8").strip()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None


def _text(said: Any, info: ValidationInfo) -> Any:
    """Return the text of a file where `said` names one; all else is for pydantic to judge."""
    if not isinstance(said, Mapping):
        return said
    return read_text(TextFile.model_validate(said), info)[1]


Beside = Annotated[str, AfterValidator(_absolute)]
"""A file, named relative to the experiment file's folder."""
ModelName = Annotated[str, Field(min_length=1), AfterValidator(_model)]
"""A name of `moot models`, a folder (relative to the experiment file's), or a hub id."""
Text = Annotated[str, BeforeValidator(_text, json_schema_input_type=str | TextFile)]
"""A text, or {file: PATH} for one that stands in a file beside the experiment."""
