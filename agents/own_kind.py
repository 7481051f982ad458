"""A union of models of many kinds, one of which may be a class of the user's own.

It stands in an experiment file as `{kind: FILE.py:CLASS}`, with its options beside that: a
protocol, a judging, a source of tasks, a method.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError, ValidationInfo
from pydantic_core import CoreSchema, InitErrorDetails, core_schema, to_json

from .errors import in_one_line
from .own_class import FORM, UNLIKE_OURS, lacks, named, own_class
from .types import Settings


@dataclass(frozen=True, slots=True)
class OrOwn:
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
                foreign = not type(value).__module__.startswith("moot.")  # made in Python
                fits = isinstance(value, self.kin) and not lacks(type(value), self.like)
                return value if foreign and fits else inner(value)
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
            options = value.model_dump(
                mode=info.mode, exclude_defaults=info.exclude_defaults, context=info.context
            )
            return {**options, "kind": info.context(kind) if info.context else kind}

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
        one = own_class(kind, context)
        if not issubclass(one, self.kin):
            kin = f"{self.kin.__module__}.{self.kin.__name__}"
            raise ValueError(f"{kind}: is no {self.what}: it isn't derived from {kin}")
        if missing := lacks(one, self.like):
            raise ValueError(f"{kind}: is no {self.what}: it has no {', '.join(missing)}")
        if "kind" in one.model_fields and one.model_fields["kind"].is_required():
            raise ValueError(f"{kind}: give its `kind` a value: what it is called in tables")
        return one


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
    if again.model_dump() != made.model_dump():
        raise ValueError(f"is another when a run reads it again: {made!r} becomes {again!r}")
    return made


def _at(key: str, value: Any, error: ValueError) -> ValidationError:
    """Return the error as one about a key of a mapping."""
    found = InitErrorDetails(type="value_error", loc=(key,), input=value, ctx={"error": error})
    return ValidationError.from_exception_data("own", [found])
