"""Doctor room: the command `jangar-quant doctor`."""

import json
from dataclasses import asdict

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from orchestration.doctor.finding import Finding
from orchestration.errors import UserError
from orchestration.logs import redact
from orchestration.settings import Settings, get_settings

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def doctor(as_json: bool = typer.Option(False, "--json", help="Print the findings as JSON.")) -> None:
    """Check configuration, source, warehouse and machine, and say what to fix. Exit code 1 if anything fails."""
    try:
        settings = get_settings()
    except UserError as error:
        findings = [Finding("settings", "values", "fail", error.message, error.remedy)]
    else:
        findings = examine(settings)
    tell(findings, as_json=as_json)


def examine(settings: Settings) -> list[Finding]:
    """Run every check that applies to these settings."""
    from orchestration.doctor.machine import check_machine
    from orchestration.doctor.position import check_position
    from orchestration.doctor.source import check_source
    from orchestration.doctor.warehouse import check_warehouse

    source = "the embedded Postgres" if settings.embedded_source else "the Postgres of TORGHUT_DB_DSN"
    warehouse = "the embedded ClickHouse" if settings.embedded_warehouse else "the ClickHouse of CLICKHOUSE_URL"
    return [
        Finding("settings", "values", "ok", f"all within bounds; source: {source}, warehouse: {warehouse}"),
        *check_machine(settings),
        *check_source(settings),
        *check_warehouse(settings),
        *check_position(settings),
    ]


def tell(findings: list[Finding], *, as_json: bool) -> None:
    """Print findings as a table or as JSON.

    Raises:
        typer.Exit: with code 1, when something fails.
    """
    if as_json:
        typer.echo(redact(json.dumps([asdict(finding) for finding in findings], indent=2)))
    else:
        _show(findings)
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def _show(findings: list[Finding]) -> None:
    console = Console(highlight=False)
    table = Table(show_header=True)
    for title in ("", "area", "check", "found"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        style = _STYLES[finding.state]
        table.add_row(
            f"[{style}]{finding.state}[/]", finding.area, escape(finding.check), escape(redact(finding.detail))
        )
    console.print(table)
    for finding in findings:
        if finding.state != "ok":
            style, remedy = _STYLES[finding.state], escape(redact(finding.remedy))
            console.print(
                f"[{style}]{finding.state}[/] {finding.area}, {escape(finding.check)}: {remedy}", soft_wrap=True
            )
    counts = {state: sum(finding.state == state for finding in findings) for state in _STYLES}
    console.print(f"{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} to fix")
