"""A class of the user's own, in a Python file of theirs: FILE.py:CLASS.

The path is relative to the experiment file's folder.  The file is run when the class is asked for.
"""

import re
import sys
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import near, with_type

NAMED = re.compile(r"(.+\.py):([A-Za-z_]\w*)", re.DOTALL)
"""The path of a file, and the name of a class in it."""
PREFIX = "moot_own_"
"""What the names of their modules begin with."""
UNLIKE_OURS = re.compile(r"[.:/]")
"""What no kind or name of ours has."""
FORM = {"type": "string", "pattern": r"\.py:[A-Za-z_]\w*$"}
"""The same in a JSON Schema."""


@lru_cache
def _module(path: Path, text: bytes) -> ModuleType:
    """Return what a file holds; it is run once in a process, and again where it has changed."""
    name = f"{PREFIX}{sha256(bytes(path) + text).hexdigest()[:16]}"
    module = sys.modules[name] = ModuleType(name)  # where dataclasses and pydantic look names up
    module.__file__ = str(path)
    try:
        exec(compile(text, path, "exec", dont_inherit=True), module.__dict__)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def own_class(name: str, context: Path | None = None) -> type[Any]:
    """Return the class that FILE.py:CLASS names, relative to `context`; the file is run.

    Raises:
        ValueError: there is no such file, or it can't be run, or no such class is written there.
    """
    parts = NAMED.fullmatch(name)
    if parts is None:
        raise ValueError(f"expected FILE.py:CLASS, got {name!r}")
    path = (context or Path()) / parts[1]
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    try:
        module = _module(path, text)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{path}{_line(error, path)}: {_said(error)}") from error
    written = {
        key: one
        for key, one in vars(module).items()
        if isinstance(one, type) and (one.__module__, one.__name__) == (module.__name__, key)
    }
    if parts[2] not in written:
        raise ValueError(f"{path}: no class '{parts[2]}' is written there{near(parts[2], written)}")
    return written[parts[2]]


def _line(error: BaseException, path: Path) -> str:
    """Return the last line of a file that was run when an error was raised, as `:LINE`."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f":{error.lineno}"
    lines, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f":{lines[-1]}" if lines else ""


def place(error: BaseException, one: type[Any]) -> str:
    """Return where in the file of a class of the user's own an error was raised, as ` (FILE:LINE)`.

    Empty: it is no such class, or it was raised elsewhere.
    """
    path = _file(one)
    at = "" if path is None else _line(error, path)
    return f" ({path}{at})" if at else ""


def _said(error: BaseException) -> str:
    """Return what an error says; one of syntax without its line, which is told apart."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    return with_type(error)


def named(one: type[Any]) -> str | None:
    """Return a class of the user's own as FILE.py:CLASS, in full; `None`: it is no such class."""
    path = _file(one)
    return None if path is None else f"{path}:{one.__name__}"


def _file(one: type[Any]) -> Path | None:
    """Return the file that a class of the user's own is written in; `None`: it is no such class."""
    module = sys.modules.get(one.__module__)
    if module is None or module.__file__ is None or not module.__name__.startswith(PREFIX):
        return None
    return Path(module.__file__)


def lacks(one: type[Any], interface: type[Any]) -> list[str]:
    """Return what an interface asks for and instances of a class don't have."""
    there = {name for kin in one.__mro__ for name in vars(kin)}
    there |= {*getattr(one, "model_fields", ())}
    asked = [name for name in vars(interface) if name == "__call__" or name[0] != "_"]
    return [name for name in asked if name not in there]
