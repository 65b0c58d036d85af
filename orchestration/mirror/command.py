"""Mirror room: the commands `jangar-quant mirror` and `jangar-quant mirror check | setup | status`."""

import signal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestration.errors import UserError
from orchestration.logs import configure_logging
from orchestration.settings import get_settings

mirror = typer.Typer(help="Mirror the source's tables into the warehouse until stopped.", invoke_without_command=True)


@mirror.callback()
def run(
    context: typer.Context,
    resnapshot: bool = typer.Option(
        False, "--resnapshot", help="Make a new replication slot and copy all tables again; the warehouse stays usable."
    ),
) -> None:
    """Mirror the source's tables into the warehouse until stopped."""
    if context.invoked_subcommand is not None:
        return
    from orchestration.mirror.service import Service

    settings = get_settings()
    configure_logging("mirror", settings.log_level)
    service = Service(settings, resnapshot=resnapshot)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.run()


@mirror.command()
def check(as_json: bool = typer.Option(False, "--json", help="Print the findings as JSON.")) -> None:
    """Check source, warehouse and position as a start of the mirror needs them; changes nothing."""
    from orchestration.doctor.command import tell
    from orchestration.doctor.position import check_position
    from orchestration.doctor.source import check_source
    from orchestration.doctor.warehouse import check_warehouse

    settings = get_settings()
    tell([*check_source(settings), *check_warehouse(settings), *check_position(settings)], as_json=as_json)


@mirror.command()
def setup(
    role: str = typer.Option("", "--role", help="Also make this role, or give it what it lacks to run the mirror."),
    table: list[str] = typer.Option([], "--table", help="Publish this table; again for more. Default: all known."),
    only_sql: bool = typer.Option(False, "--sql", help="Print the SQL for an administrator, and change nothing."),
) -> None:
    """Publish the tables, as the user of TORGHUT_DB_DSN, and make a role with no more rights than the mirror needs."""
    from orchestration.mirror.setup import carry_out, make_plan
    from orchestration.source.connection import connect

    settings = get_settings()
    errors = Console(stderr=True, highlight=False)
    with connect(settings) as connection:
        plan = make_plan(connection, settings, table, role or None)
        for name, problem in plan.left_out.items():
            errors.print(f"left out: {escape(name)}: {escape(problem)}", soft_wrap=True)
        if only_sql:
            typer.echo(plan.script, nl=False)
            return
        carry_out(connection, plan)
    for statement in plan.statements:
        typer.echo(f"done: {statement.replace(plan.password, '...') if plan.password else statement};")
    if plan.password:
        typer.echo(f"The password of {role}, which is not shown again: {plan.password}")
    errors.print("The source is prepared. `jangar-quant mirror check` tells what else a start needs.", soft_wrap=True)


@mirror.command()
def resync(
    table: list[str] = typer.Argument(help="Tables to copy again, as they are called in torghut_raw."),
    reason: str = typer.Option("somebody asked for it", "--reason", help="Why; the mirror's log says it."),
) -> None:
    """Have the running mirror copy tables again while it streams, and wait until it has."""
    from orchestration.mirror.again import copy_again

    settings = get_settings()
    configure_logging("mirror", settings.log_level)
    copy_again(settings, table, reason)
    typer.echo(f"copied: {', '.join(table)}")


@mirror.command()
def status() -> None:
    """Print what every mirror of the warehouse reports."""
    from orchestration.mirror.control import Control
    from orchestration.mirror.target import Target

    settings = get_settings()
    target = Target(settings)
    try:
        control = Control(target, settings.mirror_slot)
        statuses = control.read_statuses() if control.exists() else []
    finally:
        target.close()
    if not statuses:
        raise UserError("No mirror has run on this warehouse.", "Start it: `jangar-quant mirror`.")
    shown = Table("slot", "state", "detail", "bytes behind", "complete until", "reported")
    for slot, state, detail, lag, watermark_age, age in statuses:
        until = "-" if watermark_age is None else f"{watermark_age:.1f} s ago"
        shown.add_row(slot, state, escape(detail), f"{lag:,}", until, f"{age:.0f} s ago")
    Console(highlight=False).print(shown)
