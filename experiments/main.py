"""The `moot` command.  Everything heavy is imported by the command that needs it."""

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from moot.agents.errors import InputError, MootError, in_one_line

from .models import models

if TYPE_CHECKING:
    from .report.readings import Readings

app = typer.Typer(
    name="moot",
    help="Populations of language models talk, judge and learn.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(models, name="models", invoke_without_command=True)

File = Annotated[Path, typer.Argument(metavar="EXPERIMENT.yaml", help="The experiment file.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="path.to.key=value", help="Set one key; may be repeated."),
]
TAUGHT = ("preferences", "demonstrations", "references", "rollouts")
KINDS = (*TAUGHT, "spans", "model")
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="A run's directory.")]


@app.command()
def run(
    experiment: Annotated[
        Path | None,
        typer.Argument(metavar="EXPERIMENT.yaml", help="May be left out with --from."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Default: runs/NAME, or with --from runs/NAME-replay."
        ),
    ] = None,
    sets: Sets = None,
    of: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="Replay what was said in this run."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--change",
            metavar="EPISODE:TURN=TEXT",
            help="With --from: have this turn say TEXT; may be repeated.",
        ),
    ] = None,
    metrics: Annotated[
        int | None,
        typer.Option(
            "--metrics",
            metavar="PORT",
            min=0,
            max=65535,
            help="Serve what is spent to Prometheus on this machine; 0 is any free port.",
        ),
    ] = None,
) -> None:
    """Run an experiment, resume it if DIR holds it, or replay another run."""
    from .cycle.replay import asked
    from .files.directory import RESOLVED
    from .run import command
    from .run import run as play
    from .signals import interruptible
    from .yaml.loading import load

    replay = asked(of, changes or ())
    if experiment is None:
        if of is None:
            raise InputError("moot run: name an EXPERIMENT.yaml, or a run to replay: --from DIR")
        experiment = of / RESOLVED
    loaded, split = load(experiment, sets or ())
    where = out or Path("runs") / (f"{loaded.name}-replay" if replay else loaded.name)
    came = []
    try:
        with interruptible() as came:
            report = play(loaded, split, where, replay, metrics)
    except KeyboardInterrupt:
        again = command(experiment, where, sets or (), replay, metrics)
        typer.echo(f"moot: interrupted; nothing is lost. To go on: {again}", err=True)
        raise SystemExit(128 + next(iter(came), signal.SIGINT)) from None
    from .report.findings import in_short
    from .report.readings import read

    typer.echo("\n" + "\n".join(in_short(read(where))))
    typer.echo(f"report: {report}")


@app.command()
def plan(experiment: File, sets: Sets = None) -> None:
    """Say what an experiment would do: agents, calls, tokens, cost, memory, disk; run nothing."""
    from .plan import plan as lines
    from .yaml.loading import load

    for line in lines(*load(experiment, sets or ())):
        typer.echo(line)


@app.command()
def report(run: Directory) -> None:
    """Write DIR/report.html: one file, opens offline."""
    from .report.page import write

    typer.echo(str(write(run)))


@app.command()
def graph(
    run: Directory,
    level: Annotated[str, typer.Option("--level", help="agents or turns.")] = "agents",
    form: Annotated[
        str, typer.Option("--format", help="graphml, gexf, json or parquet (its edges).")
    ] = "graphml",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Default: DIR/graph-LEVEL.FORMAT.")
    ] = None,
) -> None:
    """Write who heard whom, for other tools, and say whose answers were adopted."""
    from .influence import influence

    for line in influence(_readings(run), level, form, to):
        typer.echo(line)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Runs' directories.")],
    seeds: Annotated[
        bool,
        typer.Option("--seeds", help="Take runs that differ in the seed alone as one experiment."),
    ] = False,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE.csv", help="Write the table there too.")
    ] = None,
) -> None:
    """Set runs side by side: settings that differ, accuracy, what was gained over the first."""
    from .compare.seeds import by_seed
    from .compare.side_by_side import side_by_side
    from .compare.table import shown, write
    from .export import checked

    if to is not None:
        checked(to, ".csv")
    found = (by_seed if seeds else side_by_side)([*map(_readings, runs)])
    for line in shown(found):
        typer.echo(line)
    if to is not None:
        write(to, found)


@app.command()
def export(
    run: Directory,
    kind: Annotated[str, typer.Option("--kind", help=f"One of: {', '.join(KINDS)}.")],
    to: Annotated[
        Path,
        typer.Option("--to", metavar="PATH", help="The file, or the model's new folder."),
    ],
    weights: Annotated[
        str | None, typer.Option("--weights", help="Of a model: whose, where several learnt.")
    ] = None,
    cycle: Annotated[
        int | None,
        typer.Option(
            "--cycle", metavar="N", help="Of a model: as it was after N cycles; default: all."
        ),
    ] = None,
) -> None:
    """Write what a run taught, in TRL's columns, what it learnt, as a model, or its calls as spans.

    Spans are OpenTelemetry's, a batch on each line (OTLP/JSON), without the agents' words.
    """
    from .export import export as collect

    for option, given in (("--weights", weights), ("--cycle", cycle)):
        if given is not None and kind != "model":
            raise InputError(f"{option} {given}: goes with --kind model, and means nothing else")
    if kind == "spans":
        from .spans import export as trace

        typer.echo(f"{to}: {trace(run, to)} spans")
        return
    if kind == "model":
        from .release import release

        found = release(run, weights, to, cycle)
        typer.echo(f"{to}: {found.name}, version {found.version}")
        return
    typer.echo(f"{to}: {collect(run, kind, to)} {kind}")


@app.command()
def schema() -> None:
    """Print the JSON Schema of the experiment file, for editors."""
    from .experiment import Experiment

    typer.echo(json.dumps(Experiment.model_json_schema(), indent=2))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong input, 130 Ctrl-C, 143 SIGTERM."""
    try:
        app(arguments)
    except InputError as error:
        _leave(str(error), 2)
    except MootError as error:
        _leave(f"moot: {error}", 1)
    except OSError as error:
        what = f"{error.filename}: " if error.filename else ""
        why = error.strerror or in_one_line(error)
        _leave(f"moot: {what}{why}; mend it and run again", 1)


def _readings(run: Path) -> "Readings":
    """Return what a run's directory holds; say what of it can't be read."""
    from .report.readings import read

    readings = read(run)
    for trouble in readings.unreadable:
        typer.echo(f"{run}: left out: {trouble}", err=True)
    return readings


def _leave(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
