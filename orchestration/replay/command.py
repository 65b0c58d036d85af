"""Replay: the commands `jangar-quant backfill` and `jangar-quant verify`."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from orchestration.errors import UserError
from orchestration.logs import configure_logging
from orchestration.settings import get_settings
from orchestration.transform.frame import (
    UNKNOWN_TABLE_OR_DATABASE,
    Format,
    parse_moment,
    plain,
    require_account,
    require_window,
    resolve_strategy,
    stamp,
)

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from orchestration.replay.scope import Scope
    from orchestration.replay.verify import Difference, Sample, Verification

# What a shell calls a process that was interrupted.
_INTERRUPTED = 130
_SHOWN_DIFFERENCES = 50

_Strategy = Annotated[str, typer.Option(help="Only rows of this strategy, by uuid or name; default: of all scopes.")]
_Account = Annotated[str, typer.Option(help="Only rows of this account; default: of all scopes.")]


def backfill(
    start: Annotated[str, typer.Option("--from", help="First moment in ISO 8601, UTC unless it names a zone.")],
    end: Annotated[str, typer.Option("--to", help="Last moment; at most as far as the live tiers have come.")],
    strategy: _Strategy = "",
    account: _Account = "",
    window: Annotated[str, typer.Option(help="Only this window; default: all.")] = "",
    step: Annotated[str, typer.Option(help="Distance of the moments: seconds, or like 30s, 5m, 1h.")] = "1m",
    again: Annotated[bool, typer.Option(help="Recompute what a finished backfill has done.")] = False,
) -> None:
    """Recompute past frames from the facts into quant.quant_metrics_series, at the moments that lie in a session.

    What is there for a moment is replaced, so a backfill can be repeated. One that was stopped, in whatever way, goes
    on where it was when it is given the same arguments.

        jangar-quant backfill --from 2026-01-26 --to 2026-01-31 --account paper --step 5m
    """
    from orchestration.replay.backfill import BackfillRequest, prepare, run_backfill
    from orchestration.replay.moments import parse_step
    from orchestration.replay.progress_bar import new_progress

    first, last = _range_of(start, end)
    seconds_between = parse_step(step)
    settings = get_settings()
    configure_logging("backfill", settings.log_level)
    console = Console(highlight=False)
    with _warehouse() as client:
        request = BackfillRequest(_scope(client, strategy, account, window), first, last, seconds_between, again)
        found = prepare(client, request)
        if found.pending == 0:
            console.print(f"All {found.moments:,} moments are done; --again recomputes them.")
            return
        before = found.moments - found.pending
        if before:
            console.print(f"[dim]{before:,} moments are done already.[/]")
        if found.run.ends_at < last:
            console.print(f"[dim]Up to {stamp(found.run.ends_at)}: no further than the live tiers.[/]", soft_wrap=True)
        started = time.monotonic()
        progress = new_progress(console)
        task = progress.add_task("", total=found.moments, completed=before)
        try:
            with progress:
                rows = run_backfill(
                    client,
                    request,
                    found,
                    lambda session: progress.update(
                        task, advance=1, description=f"{session.calendar} {session.session_date}"
                    ),
                )
        except KeyboardInterrupt:
            console.print("Stopped; the same command goes on from here.")
            raise typer.Exit(_INTERRUPTED) from None
    seconds = max(time.monotonic() - started, 0.001)
    console.print(f"{found.moments - before:,} moments, {rows:,} rows, {seconds:.1f} s, {rows / seconds:,.0f} rows/s.")


def verify(
    sample: Annotated[int, typer.Option(min=1, help="How many stored moments to recompute.")] = 20,
    start: Annotated[str, typer.Option("--from", help="From this moment on; default: all but the first minutes.")] = "",
    end: Annotated[str, typer.Option("--to", help="Before this moment; default: up to a minute ago.")] = "",
    strategy: _Strategy = "",
    account: _Account = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Repeats the sample of this seed; default: random.")] = None,
    output: Annotated[Format, typer.Option("--format", help="table or json.")] = Format.table,
) -> None:
    """Recompute a random sample of stored frames with what was known then, and compare bit by bit.

    Exit code 0: no differences. Exit code 1: some, which are listed.
    """
    from orchestration.replay.progress_bar import new_progress
    from orchestration.replay.verify import Sample, behind_start
    from orchestration.replay.verify import verify as compare

    # The newest minute may still be written.
    settled = datetime.now(UTC) - timedelta(minutes=1)
    first, last = _range_of(start or "1970-01-01", end or settled.isoformat())
    settings = get_settings()
    configure_logging("verify", settings.log_level)
    with _warehouse() as client, new_progress(Console(stderr=True), transient=True) as progress:
        last = min(last, settled)
        if not start:
            first, last = behind_start(client, first, last)
        wanted = Sample(
            _scope(client, strategy, account),
            first,
            last,
            sample,
            random.randrange(2**32) if seed is None else seed,
        )
        task = progress.add_task("comparing", total=sample)
        found = compare(client, wanted, lambda: progress.advance(task))
    if output is Format.json:
        print(json.dumps(_document(found, wanted), indent=2, default=plain))
    else:
        _print(found, wanted)
    if found.differences:
        raise typer.Exit(1)


def _range_of(start: str, end: str) -> tuple[datetime, datetime]:
    first, last = parse_moment(start, option="--from"), parse_moment(end, option="--to")
    if first > last:
        raise UserError(f"--from {start} is after --to {end}.", "Exchange them.")
    return first, last


def _scope(client: Client, strategy: str, account: str, window: str = "") -> Scope:
    from orchestration.replay.scope import Scope

    require_account(client, account)
    if window:
        require_window(client, window)
    return Scope(resolve_strategy(client, strategy), account, window)


@contextmanager
def _warehouse() -> Iterator[Client]:
    """A client of a warehouse that has metrics; when it stops answering, that is said in plain words."""
    from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

    from orchestration.warehouse.client import connect

    client = connect(get_settings())
    try:
        yield client
    except OperationalError as error:
        raise UserError(
            "The warehouse stopped answering.", "Start it again and repeat the command; a backfill goes on."
        ) from error
    except DatabaseError as error:
        if getattr(error, "code", None) in UNKNOWN_TABLE_OR_DATABASE:
            raise UserError(
                "The warehouse holds no metrics yet.", "Start the product with `make up`, which builds them."
            ) from error
        raise
    finally:
        client.close()


def _summary(found: Verification) -> str:
    return (
        f"{found.moments:,} of {found.available:,} moments, {found.rows:,} rows compared,"
        f" {len(found.differences):,} differences"
    )


def _print(found: Verification, sample: Sample) -> None:
    console = Console(highlight=False)
    if found.differences:
        table = Table(box=None, pad_edge=False)
        for name in ("metric", "scope", "window", "moment", "stored", "recomputed"):
            table.add_column(name, overflow="fold")
        for difference in found.differences[:_SHOWN_DIFFERENCES]:
            strategy_id, account, window, metric = difference.key
            table.add_row(
                metric,
                " on ".join(part for part in (strategy_id, account) if part) or "the desk",
                window,
                stamp(difference.as_of),
                _shown(difference.stored, difference.columns),
                _shown(difference.recomputed, difference.columns),
            )
        console.print(table)
        if len(found.differences) > _SHOWN_DIFFERENCES:
            console.print(f"[dim]and {len(found.differences) - _SHOWN_DIFFERENCES:,} more; --format json has all.[/]")
    if found.of_other_formulas:
        console.print(f"[dim]Left out: {found.of_other_formulas:,} rows of other versions of their formulas.[/]")
    console.print(f"{_summary(found)} (--seed {sample.seed}).")


def _shown(row: dict[str, Any] | None, columns: list[str]) -> str:
    if row is None:
        return "no row"
    return ", ".join(f"{name} {stamp(row[name]) if isinstance(row[name], datetime) else row[name]}" for name in columns)


def _document(found: Verification, sample: Sample) -> dict[str, Any]:
    return {
        "seed": sample.seed,
        "available_moments": found.available,
        "rows_of_other_formulas": found.of_other_formulas,
        "moments": found.moments,
        "rows": found.rows,
        "differences": [_difference(difference) for difference in found.differences],
    }


def _difference(difference: Difference) -> dict[str, Any]:
    strategy_id, account, window, metric = difference.key
    columns = difference.columns
    return {
        "metric_name": metric,
        "strategy_id": strategy_id,
        "account": account,
        "window": window,
        "as_of": difference.as_of,
        "known_at": difference.known_at,
        "stored": {name: difference.stored[name] for name in columns},
        "recomputed": difference.recomputed and {name: difference.recomputed[name] for name in columns},
    }
