"""Which verifier checks answers, as an experiment file says it: by a name, or FILE.py:CLASS."""

from functools import lru_cache
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from moot.agents.errors import with_type
from moot.agents.own_class import FORM, UNLIKE_OURS, lacks, named, own_class
from moot.agents.verifier import Verifier
from moot.protocols.verifiers import VERIFIERS


def verifier(name: str) -> Verifier:
    """Return the verifier of a name that was checked."""
    return VERIFIERS[name] if name in VERIFIERS else _made(own_class(name))


@lru_cache
def _made(one: type[Any]) -> Verifier:
    return one()


class _Name:
    """Marks a text: it is one of our verifiers' names, or that of a class of the user's own."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Return what checks it, and makes the path of a file a whole one."""

        def read(name: Any, inner: Any, info: ValidationInfo) -> Any:
            if not isinstance(name, str) or not UNLIKE_OURS.search(name):
                return inner(name)
            one = own_class(name, info.context)
            if missing := lacks(one, Verifier):
                raise ValueError(f"{name}: is no verifier: it has no {', '.join(missing)}")
            try:
                hash(_made(one))
            except Exception as error:
                raise ValueError(f"{name}: {with_type(error)}") from error
            return named(one)

        def write(name: str, info: Any) -> str:
            return info.context(name) if info.context and name not in VERIFIERS else name

        known = core_schema.literal_schema(list(VERIFIERS))
        return core_schema.with_info_wrap_validator_function(
            read,
            known,
            serialization=core_schema.plain_serializer_function_ser_schema(write, info_arg=True),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return one of the names, or FILE.py:CLASS."""
        return {"anyOf": [{"enum": list(VERIFIERS), "type": "string"}, FORM]}


VerifierName = Annotated[str, _Name()]
"""A verifier: exact, number, math, choice, or a class in a file beside the experiment."""
