"""Transform: `jangar-quant frame`, one frame of metrics at any moment, straight from the parameterized views."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from orchestration.errors import UserError
from orchestration.settings import get_settings
from orchestration.transform.on_demand import FRAME_SETTINGS, frames_query, moment_of_frame

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

UNKNOWN_TABLE_OR_DATABASE = {60, 81}
_QUALITY_COLOURS = {
    "good": "green",
    "closed": "cyan",
    "stale": "yellow",
    "insufficient_data": "dim",
    "error": "bold red",
}
_SHOWN_AT_MOST = 20


class Format(StrEnum):
    """How a frame is printed."""

    table = "table"
    json = "json"


def frame(
    strategy: Annotated[str, typer.Option(help="Strategy by uuid or name; empty: the whole account.")] = "",
    account: Annotated[str, typer.Option(help="Account label; empty: over all accounts.")] = "",
    window: Annotated[str, typer.Option(help="1m, 5m, 15m, 1h, 1d, 5d or 20d.")] = "1d",
    as_of: Annotated[
        str, typer.Option(help="Moment in ISO 8601, UTC unless it names a zone; default: now.", show_default=False)
    ] = "",
    output: Annotated[Format, typer.Option("--format", help="table, or json with unrounded values.")] = Format.table,
) -> None:
    """Print one frame of metrics, at this or any past moment."""
    from clickhouse_connect.driver.exceptions import DatabaseError

    from orchestration.warehouse.client import connect

    moment = parse_moment(as_of)
    settings = get_settings()
    client = connect(settings)
    try:
        rows = read_frame(client, strategy, account, window, moment)
    except DatabaseError as error:
        if getattr(error, "code", None) in UNKNOWN_TABLE_OR_DATABASE:
            raise UserError(
                "The warehouse holds no metrics yet.", "Start the product with `make up`, which builds them."
            ) from error
        raise
    finally:
        client.close()
    if output is Format.json:
        print(json.dumps(_document(rows, moment), indent=2, default=plain))
    else:
        _print_table(rows, moment)


def parse_moment(text: str, now: datetime | None = None, option: str = "--as-of") -> datetime:
    """Read an ISO 8601 moment as UTC with milliseconds; empty means now.

    Raises:
        UserError: the text is no such moment, or lies in the future.
    """
    now = now or datetime.now(UTC)
    if not text.strip():
        return now.replace(microsecond=now.microsecond // 1000 * 1000)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UserError(
            f"{option} {text!r} is not a moment in ISO 8601.", "Write it like 2026-01-30T15:30:00 or 2026-01-30."
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment > now:
        raise UserError(f"{option} {text} lies in the future.", "Give a moment that has passed, or leave it out.")
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def read_frame(
    client: Client, strategy: str, account: str, window: str, moment: datetime, known_at: datetime | None = None
) -> list[dict[str, Any]]:
    """Rows of one frame: every column of `metric_frames`, and `rounded`, the value at the dictionary's precision.

    `known_at` leaves out what came in later; without it everything counts that is there now.

    Raises:
        UserError: window, strategy or account is unknown, or nothing had happened by then.
    """
    require_window(client, window)
    strategy_id = resolve_strategy(client, strategy)
    require_account(client, account)
    known_at = known_at or datetime.now(UTC)
    result = client.query(
        "select *, round(value, transform(metric_name,"
        " (select groupArray(metric_name) from quant.metric_definitions),"
        " (select groupArray(toInt8(precision)) from quant.metric_definitions), toInt8(6))) as rounded"
        f" from ({frames_query(client, moment, known_at, account)})"
        " where strategy_id = {strategy:String} and account = {account:String} and window = {window:String}",
        parameters={
            **moment_of_frame(moment, known_at, account, strategy_id),
            "strategy": strategy_id,
            "account": account,
            "window": window,
        },
        settings=FRAME_SETTINGS,
    )
    rows = list(result.named_results())
    if not rows:
        scope = (
            " on ".join(part for part in (f"strategy {strategy}" if strategy else "", account) if part) or "the desk"
        )
        raise UserError(
            f"Nothing had happened by {moment:%Y-%m-%d %H:%M:%S} UTC for {scope}.",
            "Give a later --as-of, or another --strategy and --account that traded together.",
        )
    return rows


def require_window(client: Client, window: str) -> None:
    """Refuse a window that does not exist.

    Raises:
        UserError: there is no such window.
    """
    windows = [row[0] for row in client.query("select window from quant.metric_windows order by ordinal").result_rows]
    if window not in windows:
        raise UserError(f"There is no window {window!r}.", f"Windows: {', '.join(windows)}.")


def require_account(client: Client, account: str) -> None:
    """Refuse an account that nothing is known of; '' stands for all.

    Raises:
        UserError: there is no such account.
    """
    accounts = [row[0] for row in client.query("select account from quant.api_accounts order by account").result_rows]
    if account and account not in accounts:
        raise UserError(f"There is no account {account!r}.", f"Known accounts: {_listed(accounts)}.")


def resolve_strategy(client: Client, strategy: str) -> str:
    """The id of a strategy given by its id or its name; '' stays ''.

    Raises:
        UserError: no strategy or more than one has that name.
    """
    if not strategy:
        return ""
    known = client.query(
        "select strategy_id, strategy_name from quant.api_strategies order by strategy_name"
    ).result_rows
    if any(strategy == identity for identity, _ in known):
        return strategy
    found = [identity for identity, name in known if name == strategy]
    if len(found) > 1:
        raise UserError(f"{len(found)} strategies are named {strategy!r}.", f"Give one by its id: {_listed(found)}.")
    if not found:
        raise UserError(
            f"There is no strategy {strategy!r}.", f"Known strategies: {_listed([name for _, name in known])}."
        )
    return str(found[0])


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN_AT_MOST]) or "none"
    return shown if len(names) <= _SHOWN_AT_MOST else f"{shown} and {len(names) - _SHOWN_AT_MOST} more"


def _document(rows: list[dict[str, Any]], moment: datetime) -> dict[str, Any]:
    """The frame as one JSON object: what all its metrics share, and the metrics with unrounded values."""
    metrics = []
    for row in rows:
        metric = {name: value for name, value in row.items() if name != "rounded"}
        metric["meta"] = json.loads(row["meta"]) if row["meta"] else {}
        metrics.append(metric)
    shared = ("strategy_id", "account", "window", "window_start", "window_end", "watermark")
    return {"as_of": moment, **{name: rows[0][name] for name in shared}, "metrics": metrics}


def plain(value: Any) -> Any:
    """The JSON form of a moment or a decimal."""
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def stamp(moment: datetime) -> str:
    """A moment in ISO 8601, in UTC, with as many decimals as it needs."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds" if moment.microsecond % 1000 else "milliseconds").replace(
        "+00:00", "Z"
    )


def _print_table(rows: list[dict[str, Any]], moment: datetime) -> None:
    first = rows[0]
    console = Console()
    scope = " on ".join(part for part in (first["strategy_id"], first["account"]) if part) or "the desk"
    console.print(f"[bold]{scope}[/]  {first['window']}  as of {stamp(moment)}", highlight=False, soft_wrap=True)
    known = stamp(first["watermark"]) if first["watermark"] else "nothing"
    console.print(
        f"[dim]window {stamp(first['window_start'])} .. {stamp(first['window_end'])}, source known up to {known}[/]",
        highlight=False,
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False)
    for name in ("metric", "value", "unit", "samples", "quality"):
        table.add_column(name, justify="right" if name in ("value", "samples") else "left", no_wrap=name != "quality")
    for row in rows:
        colour = _QUALITY_COLOURS[row["quality"]]
        quality = f"{row['quality']}: {row['reason']}" if row["reason"] else row["quality"]
        table.add_row(
            row["metric_name"],
            "-" if row["rounded"] is None else f"{row['rounded']:,.6f}".rstrip("0").rstrip("."),
            row["unit"],
            str(row["sample_count"]),
            f"[{colour}]{quality}[/]",
        )
    console.print(table)
