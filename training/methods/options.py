"""Options that only some choices of a method have a use for."""

from collections.abc import Mapping, Sequence

from moot.agents.types import Settings


def refuse_unused(
    settings: Settings, choice: str, used: Mapping[str, Sequence[str]], where: str
) -> None:
    """Raise where an option is set that the choice made has no use for.

    Args:
        settings: the method's.
        choice: what was chosen.
        used: by option, the choices that have a use for it.
        where: the choice in words, for the error.

    Raises:
        ValueError: says which option, and what it is for.
    """
    for option, choices in used.items():
        if choice not in choices:
            settings.refuse(option, where=f"{where}: it is for {', '.join(choices)}")
