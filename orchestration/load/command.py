"""Load room: the command `jangar-quant load`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from orchestration.errors import UserError
from orchestration.logs import configure_logging
from orchestration.settings import Settings, get_settings

if TYPE_CHECKING:
    import psycopg

_CLOSE = "16:00 America/New_York"


def load(
    fills: Path | None = typer.Option(None, help="Fills: CSV (also .gz) or Parquet, one row per fill."),
    equity: Path | None = typer.Option(None, help="Account equity by time, or returns with --initial-capital."),
    positions: Path | None = typer.Option(
        None, help="Market values by time: a column per symbol and one of cash, or a row per symbol."
    ),
    strategy: str | None = typer.Option(None, help="Strategy of all rows; else a column, else 'loaded'."),
    account: str | None = typer.Option(None, help="Account of all rows; else a column, else 'loaded'."),
    symbol: str | None = typer.Option(None, help="Symbol of all fills, when the file has no such column."),
    mapping: list[str] = typer.Option(
        [], "--map", help="field=column,... where a usual name does not fit. time=date+clock joins two columns."
    ),
    timezone: str = typer.Option("UTC", help="Zone of times that carry none."),
    time_format: str | None = typer.Option(None, help="strptime pattern of times that are not ISO 8601 or seconds."),
    daily: bool = typer.Option(False, help="Every time is a session date, whatever time of day it shows."),
    daily_close: str = typer.Option(_CLOSE, help="The moment that a date without time of day stands for."),
    initial_capital: str | None = typer.Option(None, help="Equity before the first return, with a file of returns."),
    negative_fees: bool = typer.Option(False, help="The file writes a fee that was paid as a negative number."),
    asset_class: str = typer.Option("us_equity", help="us_equity, us_option or crypto."),
    max_errors: int = typer.Option(100, min=0, help="Rows that may be refused; beyond that nothing is loaded."),
    rejects: Path | None = typer.Option(None, help="File for the refused rows: file, line, reason."),
    dry_run: bool = typer.Option(False, help="Read and check everything, write nothing."),
) -> None:
    """Load fills and equity from files into the source. Loading a file again changes nothing.

    Exit code 0: loaded, refused rows (at most --max-errors) are listed. Exit code 1: nothing was loaded.

        jangar-quant load --fills trades.csv --equity equity.csv --strategy my-strategy --account demo
    """
    from orchestration.load.columns import parse_overrides
    from orchestration.load.fills import FillDefaults
    from orchestration.load.loader import LoadRequest, load_files, new_progress
    from orchestration.load.report import Rejects
    from orchestration.load.values import TimeRules, parse_close, parse_zone

    settings = get_settings()
    configure_logging("load", settings.log_level)
    if not (fills or equity or positions):
        raise UserError("There is nothing to load.", "Give --fills, --equity or --positions.")
    if asset_class not in ("us_equity", "us_option", "crypto"):
        raise UserError(f"There is no asset class {asset_class!r}.", "Use us_equity, us_option or crypto.")
    close, close_zone = parse_close(daily_close)
    request = LoadRequest(
        times=TimeRules(parse_zone(timezone), close, close_zone, daily, time_format),
        fills=fills,
        equity=equity,
        positions=positions,
        overrides=parse_overrides(mapping),
        defaults=FillDefaults(strategy, account, symbol, negative_fees),
        initial_capital=None if initial_capital is None else _capital(initial_capital),
        asset_class=asset_class,
        dry_run=dry_run,
    )
    console = Console(highlight=False)
    refused = Rejects(max_errors)
    try:
        with _source_of_our_own(settings) as connection:
            report = load_files(connection, request, refused, new_progress())
    finally:
        refused.show(console)
        if rejects is not None:
            refused.write(rejects)
    report.show(console)
    if report.fills is not None and not dry_run:
        name, label = report.fills.strategies[0]
        last = max(stamp for part in (report.fills, report.snapshots) if part and (stamp := part.last) is not None)
        console.print(
            "Next: jangar-quant frame "
            f"--strategy {_quoted(name)} --account {_quoted(label)} --window 1d --as-of {last:%Y-%m-%dT%H:%M:%SZ}",
            soft_wrap=True,
        )


@contextmanager
def _source_of_our_own(settings: Settings) -> Iterator[psycopg.Connection]:
    """Connect to the source, with its schema in place; the embedded Postgres is started for the while if need be."""
    from orchestration.source.connection import connect, conninfo
    from orchestration.source.embedded import EmbeddedPostgres
    from orchestration.source.migrate import migrate, require_own_schema, schema_version

    server: EmbeddedPostgres | None = None
    if settings.embedded_source and not _answers(settings):
        server = EmbeddedPostgres(settings.source_data_dir, settings.source_port)
        server.start()
    try:
        with connect(settings) as connection:
            require_own_schema(connection)
            if schema_version(connection) is None:
                migrate(conninfo(settings))
            yield connection
    finally:
        if server is not None:
            server.stop()


def _answers(settings: Settings) -> bool:
    from orchestration.source.connection import connect

    try:
        connect(settings).close()
    except UserError:
        return False
    return True


def _capital(text: str) -> Decimal:
    from orchestration.load.values import Refused, number

    try:
        capital = number(text, "--initial-capital")
    except Refused as refusal:
        raise UserError(f"{refusal}.", "Write for example --initial-capital 100000.") from None
    if capital <= 0:
        raise UserError("--initial-capital has to be positive.")
    return capital


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)
