"""Code of the user's own: a class in a Python file beside the experiment, named as FILE.py:CLASS.

A protocol or a method stands in an experiment file as `{kind: relay.py:Relay}`, with its options
beside that, and a verifier as `verifier: code.py:Tests`.  The path is relative to the experiment
file's folder, the context of the validation.  The file is run when the experiment is read.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, InitErrorDetails, core_schema, to_json

from .errors import in_one_line, near
from .types import Settings

OWN = re.compile(r"(.+\.py):([A-Za-z_]\w*)", re.DOTALL)
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


def own(named: str, context: Path | None = None) -> type[Any]:
    """Return the class that FILE.py:CLASS names, relative to `context`; the file is run.

    Raises:
        ValueError: there is no such file, or it can't be run, or no such class is written there.
    """
    found = OWN.fullmatch(named)
    if found is None:
        raise ValueError(f"expected FILE.py:CLASS, got {named!r}")
    path = (context or Path()) / found[1]
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None
    try:
        module = _module(path, text)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{path}{line(error, path)}: {_said(error)}") from error
    classes = {
        name: one
        for name, one in vars(module).items()
        if isinstance(one, type) and (one.__module__, one.__name__) == (module.__name__, name)
    }
    if found[2] not in classes:
        raise ValueError(f"{path}: no class '{found[2]}' is written there{near(found[2], classes)}")
    return classes[found[2]]


def line(error: BaseException, path: Path) -> str:
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
    code = named(one)
    path = Path(code.rpartition(":")[0]) if code else Path()
    at = line(error, path) if code else ""
    return f" ({path}{at})" if at else ""


def _said(error: BaseException) -> str:
    said = error.msg if isinstance(error, SyntaxError) else in_one_line(error)
    return f"{type(error).__name__}: {said}"


def named(one: type[Any]) -> str | None:
    """Return a class of the user's own as FILE.py:CLASS, in full; `None`: it is no such class."""
    module = sys.modules.get(one.__module__)
    if module is None or not module.__name__.startswith(PREFIX):
        return None
    return f"{module.__file__}:{one.__name__}"


@dataclass(frozen=True, slots=True)
class Own:
    """Marks a union of models with a `kind`: that may also name a class of the user's own."""

    what: str
    """What it is, in an error."""
    like: type[Any]
    """The interface that it has."""
    kin: type[Settings] = Settings
    """What it is derived from."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return the union's schema, asked for what is not the user's own."""
        known = handler(source)

        def read(value: Any, inner: Any, info: ValidationInfo) -> Any:
            if not isinstance(value, Mapping):
                made = isinstance(value, Settings) and named(type(value))
                return value if made else inner(value)
            options = cast(Mapping[str, Any], value)
            kind = options.get("kind")
            if not isinstance(kind, str) or not UNLIKE_OURS.search(kind):
                return inner(_frozen(value) if info.mode == "json" else value)
            try:
                model = self._fitting(kind, info.context)
            except ValueError as error:
                raise _at("kind", kind, error) from error
            return _made(model, {k: v for k, v in options.items() if k != "kind"}, info.context)

        def write(value: Any, inner: Any, info: Any) -> Any:
            kind = named(type(value))
            if kind is None:
                return inner(value)
            options = value.model_dump(mode=info.mode, exclude_defaults=info.exclude_defaults)
            return {**options, "kind": kind}

        return core_schema.with_info_wrap_validator_function(
            read,
            known,
            serialization=core_schema.wrap_serializer_function_ser_schema(
                write, schema=known, info_arg=True
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the union's, or any mapping whose kind is FILE.py:CLASS."""
        mine = {"type": "object", "properties": {"kind": FORM}, "required": ["kind"]}
        return {"anyOf": [handler(schema), mine]}

    def _fitting(self, kind: str, context: Path | None) -> type[Settings]:
        """Return the class that is named, if it is what is wanted here."""
        one = own(kind, context)
        if not issubclass(one, self.kin):
            kin = f"{self.kin.__module__}.{self.kin.__name__}"
            raise ValueError(f"{kind}: is no {self.what}: it isn't derived from {kin}")
        if lacks := [n for n in parts(self.like) if not has(one, n)]:
            raise ValueError(f"{kind}: is no {self.what}: it has no {', '.join(lacks)}")
        if "kind" in one.model_fields and one.model_fields["kind"].is_required():
            raise ValueError(f"{kind}: give its `kind` a value: what it is called in tables")
        return one


def parts(interface: type[Any]) -> list[str]:
    """Return the names of what an interface asks for."""
    return [name for name in vars(interface) if name == "__call__" or name[0] != "_"]


def has(one: type[Any], name: str) -> bool:
    """Return whether instances of a class have something of this name."""
    return any(name in vars(kin) for kin in one.__mro__) or name in getattr(one, "model_fields", {})


def _frozen(value: Any) -> Any:
    """Return plain data of JSON with tuples for lists, as a strict model takes it from Python."""
    if isinstance(value, Mapping):
        return {key: _frozen(child) for key, child in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _made(model: type[Settings], options: Mapping[str, Any], context: Path | None) -> Settings:
    """Return a model of the user's own with these options, as it will be read again from a run.

    Raises:
        ValueError: an option is wrong; or the model would be another then, as one that changes what
            it is given, or holds what JSON doesn't.
    """
    made = model.model_validate_json(to_json(options), context=context)
    try:
        again = model.model_validate_json(made.model_dump_json(), context=context)
    except ValidationError as error:
        raise ValueError(f"can't be read again as a run keeps it: {in_one_line(error)}") from None
    if again != made:
        raise ValueError(f"is another when a run reads it again: {made!r} becomes {again!r}")
    return made


def _at(key: str, value: Any, error: ValueError) -> ValidationError:
    """Return the error as one about a key of a mapping."""
    found = InitErrorDetails(type="value_error", loc=(key,), input=value, ctx={"error": error})
    return ValidationError.from_exception_data("own", [found])
