"""GraphML: a topology in a file, whose node ids are the agents' names, as networkx writes them."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationInfo

from moot.agents.beside import TextFile, read_text
from moot.agents.errors import in_one_line


def links(said: Any, info: ValidationInfo) -> Any:
    """Return the edges of a file where `said` names one; all else is for pydantic to judge.

    Nodes are agents' names.  An edge goes from who speaks to who hears, both ways in an undirected
    graph, and may carry what is seen, as `sees`.
    """
    if not isinstance(said, Mapping):
        return said
    import networkx as nx

    path, text = read_text(TextFile.model_validate(said), info)
    try:
        graph: Any = nx.parse_graphml(text).to_directed()
    except Exception as error:  # whatever its XML reader finds wrong
        raise ValueError(f"{path}: not GraphML: {in_one_line(error)}") from None
    return tuple(
        {"speaker": str(a), "listener": str(b)} | ({"sees": seen} if seen else {})
        for a, b, seen in graph.edges(data="sees")
    )
