"""Source room: the commands `jangar-quant postgres` and `jangar-quant source ...`."""

import typer
from rich.console import Console

from orchestration.logs import configure_logging
from orchestration.settings import get_settings

source = typer.Typer(help="The Postgres that holds the facts: its schema.", no_args_is_help=True)


def postgres() -> None:
    """Serve the embedded Postgres on 127.0.0.1 until stopped."""
    from orchestration.source.embedded import EmbeddedPostgres

    settings = get_settings()
    configure_logging("postgres", settings.log_level)
    EmbeddedPostgres(settings.source_data_dir, settings.source_port).run()


@source.callback()
def _source() -> None:
    """The Postgres that holds the facts: its schema."""


@source.command()
def migrate(
    head: str = typer.Option("latest", help="Version to migrate to: 0005, 0013, ... or latest."),
) -> None:
    """Bring the schema of a source of our own to a version; a real Torghut is refused."""
    from orchestration.source.connection import conninfo
    from orchestration.source.migrate import migrate as apply

    settings = get_settings()
    configure_logging("source", settings.log_level)
    version = apply(conninfo(settings), head)
    Console().print(f"The schema of the source stands at {version}.")
