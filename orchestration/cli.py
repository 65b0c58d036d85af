"""The `jangar-quant` command: one entry point, a subcommand per process or task.

Each package registers its own command here; heavy imports stay inside the commands, so that `--help` is quick.
"""

import sys
from typing import Annotated

import typer
from rich.console import Console

from api.command import api
from api.security.command import keys
from orchestration.alerts.command import alerts
from orchestration.defs.command import dagster
from orchestration.desk.command import desk
from orchestration.doctor.command import doctor
from orchestration.errors import UserError
from orchestration.load.command import load
from orchestration.logs import redact
from orchestration.mirror.command import mirror
from orchestration.notify.command import notify
from orchestration.replay.command import backfill, verify
from orchestration.settings_page import settings
from orchestration.source.commands import postgres, source
from orchestration.supervise.command import up
from orchestration.transform.frame import frame
from orchestration.warehouse.command import warehouse

app = typer.Typer(
    name="jangar-quant",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"jangar-quant {version('jangar-quant')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A near-real-time performance warehouse for automated trading."""


app.command()(up)
app.command()(api)
app.command()(dagster)
app.command()(desk)
app.command()(settings)
app.command()(postgres)
app.add_typer(source, name="source")
app.add_typer(mirror, name="mirror")
app.command()(load)
app.command()(doctor)
app.command()(warehouse)
app.command()(frame)
app.add_typer(alerts, name="alerts")
app.add_typer(keys, name="keys")
app.command()(notify)
app.command()(backfill)
app.command()(verify)


def main() -> None:
    """Run the command line; a `UserError` becomes two readable lines and exit code 1."""
    try:
        app()
    except UserError as error:
        console = Console(stderr=True, highlight=False)
        console.print(f"[bold red]error:[/] {redact(error.message)}", soft_wrap=True)
        if error.remedy:
            console.print(f"[bold]remedy:[/] {redact(error.remedy)}", soft_wrap=True)
        sys.exit(1)
