"""Alerts: the commands `jangar-quant alerts ...`."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from orchestration.alerts.actions import COLUMNS, DATABASE, TABLE, Action, Name, parse_length
from orchestration.errors import UserError
from orchestration.settings import get_settings
from orchestration.transform.frame import (
    UNKNOWN_TABLE_OR_DATABASE,
    Format,
    parse_moment,
    plain,
    resolve_strategy,
    stamp,
)

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from orchestration.alerts.policies import Policy

alerts = typer.Typer(help="Show alerts, acknowledge them, and silence what is known.", no_args_is_help=True)

_COLOURS = {"critical": "bold red", "warning": "yellow", "info": "cyan"}
_SHOWN = (
    "alert_id, policy_id, metric_name, strategy_name, account, window, severity, state, threshold, observed, peak,"
    " opened_at, resolved_at, reason, acknowledged_by, silenced_until"
)

_By = Annotated[str, typer.Option(help="Who; default: the user of this machine.", show_default=False)]


class State(StrEnum):
    """Which alerts are listed."""

    active = "active"
    resolved = "resolved"
    all = "all"


@alerts.command("list")
def list_alerts(
    state: Annotated[State, typer.Option(help="active: everything that is not resolved.")] = State.active,
    limit: Annotated[int, typer.Option(min=1, max=5000, help="How many at most.")] = 50,
    output: Annotated[Format, typer.Option("--format", help="table or json.")] = Format.table,
) -> None:
    """List alerts, the last opened first."""
    # Of a million episodes those that are listed are put together: all of them took six seconds.
    newest = (
        "quant.api_alerts where alert_id in (select alert_id from quant.quant_alerts where {condition}"
        " group by alert_id order by max(opened_at) desc, alert_id limit {{limit:UInt32}})"
    )
    found = {
        State.active: "quant.api_active_alerts",
        State.resolved: newest.format(condition="state = 'resolved'"),
        State.all: newest.format(condition="true"),
    }[state]
    with _warehouse() as client:
        rows = list(
            client.query(
                f"select {_SHOWN} from {found} order by opened_at desc, alert_id limit {{limit:UInt32}}",
                parameters={"limit": limit},
            ).named_results()
        )
    if output is Format.json:
        print(json.dumps(rows, indent=2, default=plain))
        return
    console = Console(highlight=False)
    if not rows:
        console.print("No alerts." if state is State.all else f"No {state} alerts.")
        return
    console.print(_table(rows))


@alerts.command()
def ack(
    alert_id: Annotated[str, typer.Argument(help="The alert, by its id or the beginning of it.")],
    reason: Annotated[str, typer.Option(help="What is known about it.")],
    by: _By = "",
) -> None:
    """Acknowledge an alert: somebody looks after it."""
    with _warehouse() as client:
        found = _resolve(client, alert_id)
        _act(client, "acknowledge", by, reason, alert_id=found)
    typer.echo(f"Acknowledged {found}.")


@alerts.command()
def silence(
    until: Annotated[str, typer.Option("--for", help="How long: 30m, 2h or 1d; at most 30d.")],
    reason: Annotated[str, typer.Option(help="Why nobody needs to hear of it.")],
    alert: Annotated[str, typer.Option(help="One alert, by its id or the beginning of it.")] = "",
    policy: Annotated[str, typer.Option(help="Every alert of this policy.")] = "",
    strategy: Annotated[str, typer.Option(help="Only of this strategy, by uuid or name.")] = "",
    account: Annotated[str, typer.Option(help="Only of this account.")] = "",
    by: _By = "",
) -> None:
    """Tell nobody about some alerts for a while. They open and are kept as always."""
    length = parse_length(until)
    with _warehouse() as client:
        _act(
            client,
            "silence",
            by,
            reason,
            alert_id=_resolve(client, alert) if alert else "",
            policy_id=_known_policy(client, policy),
            strategy_id=resolve_strategy(client, strategy),
            account=account,
            silenced_until=datetime.now(UTC) + length,
        )
    typer.echo(f"Silent until {stamp(datetime.now(UTC) + length)}.")


@alerts.command()
def unsilence(
    reason: Annotated[str, typer.Option(help="Why.")],
    alert: Annotated[str, typer.Option(help="As in the silence.")] = "",
    policy: Annotated[str, typer.Option(help="As in the silence.")] = "",
    strategy: Annotated[str, typer.Option(help="As in the silence.")] = "",
    account: Annotated[str, typer.Option(help="As in the silence.")] = "",
    by: _By = "",
) -> None:
    """End a silence: give what it was given."""
    with _warehouse() as client:
        scope = {
            "alert_id": _resolve(client, alert) if alert else "",
            "policy_id": policy,
            "strategy_id": resolve_strategy(client, strategy),
            "account": account,
        }
        conditions = " and ".join(f"{name} = {{{name}:String}}" for name in scope)
        known = client.query(
            f"select argMax(action, acted_at) from quant.alert_action where {conditions}"
            " and action in ('silence', 'unsilence')",
            parameters=scope,
        ).result_rows[0][0]
        if known != "silence":
            raise UserError("There is no such silence.", "Give the same --alert, --policy, --strategy and --account.")
        _act(client, "unsilence", by, reason, **scope)
    typer.echo("The silence is over.")


@alerts.command()
def rehearse(
    policies: Annotated[Path, typer.Option(help="CSV file of policies, like seeds/alert_policies.csv.")],
    start: Annotated[str, typer.Option("--from", help="First moment in ISO 8601, UTC unless it names a zone.")],
    end: Annotated[str, typer.Option("--to", help="Last moment; default: now.", show_default=False)] = "",
    output: Annotated[Format, typer.Option("--format", help="table or json.")] = Format.table,
) -> None:
    """Show which alerts other policies would have opened over stored history, beside those of today.

    Over stored metrics and, for ninety days, signals of the pipeline.

        jangar-quant alerts rehearse --policies new.csv --from 2026-01-26
    """
    from orchestration.alerts.policies import Policy, read_policies
    from orchestration.alerts.rehearsal import rehearse as run

    first, last = parse_moment(start, option="--from"), parse_moment(end, option="--to")
    if first >= last:
        raise UserError(f"--from {start} is not before --to.", "Give an earlier --from.")
    proposed = read_policies(policies)
    with _warehouse() as client:
        rows = client.query("select * from quant.alert_policies").named_results()
        current = [Policy.model_validate({**row, "session_gated": str(row["session_gated"])}) for row in rows]
        _check_signals(client, proposed)
        then, now = run(client, proposed, first, last), run(client, current, first, last)
    names = sorted({p.policy_id for p in (*proposed, *current)})
    today = {episode.key for episode in now.episodes}
    tomorrow = {episode.key for episode in then.episodes}
    if output is Format.json:
        document = {
            "from": first,
            "to": last,
            "episodes": [asdict(episode) for episode in then.episodes],
            "new": [asdict(episode) for episode in then.episodes if episode.key not in today],
            "gone": [asdict(episode) for episode in now.episodes if episode.key not in tomorrow],
        }
        print(json.dumps(document, indent=2, default=plain))
        return
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    for name in ("policy", "episodes", "today", "hours open", "today", "pages/day", "today", "new", "gone"):
        table.add_column(name, justify="left" if name == "policy" else "right")
    for name in (*names, ""):
        of_new, of_now = (found.of(name) if name else found.episodes for found in (then, now))
        table.add_row(
            name or "[bold]all[/]",
            *(str(len(episodes)) for episodes in (of_new, of_now)),
            *(f"{found.hours(episodes):,.1f}" for found, episodes in ((then, of_new), (now, of_now))),
            *(f"{found.pages_per_day(episodes):,.1f}" for found, episodes in ((then, of_new), (now, of_now))),
            str(sum(episode.key not in today for episode in of_new)),
            str(sum(episode.key not in tomorrow for episode in of_now)),
        )
    console.print(f"[dim]{stamp(first)} .. {stamp(last)}[/]", soft_wrap=True)
    console.print(table)


def _check_signals(client: Client, policies: list[Policy]) -> None:
    """Raise UserError where a policy looks at what does not exist: it would never open."""
    metrics = {row[0] for row in client.query("select metric_name from quant.metric_definitions").result_rows}
    windows = {row[0] for row in client.query("select window from quant.metric_windows").result_rows}
    signals = {
        row[0]
        for row in client.query(
            "select signal from quant.alert_signal where subject = 'health'"
            " union distinct select signal from quant.alert_policies where subject = 'health'"
        ).result_rows
    }
    for policy in policies:
        if policy.signal not in (metrics if policy.subject == "metric" else signals):
            raise UserError(f"{policy.policy_id}: there is no {policy.subject} {policy.signal}.", "See docs/alerts.md.")
        if policy.subject == "metric" and policy.window not in windows:
            raise UserError(
                f"{policy.policy_id}: there is no window {policy.window}.", f"One of {', '.join(sorted(windows))}."
            )


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("alert", "severity", "state", "policy", "scope", "window", "observed", "limit", "opened", "note"):
        table.add_column(name, justify="right" if name in ("observed", "limit") else "left", overflow="fold")
    for row in rows:
        scope = " on ".join(part for part in (row["strategy_name"], row["account"]) if part) or "all"
        notes = [row["reason"]]
        if row["acknowledged_by"]:
            notes.append(f"seen by {row['acknowledged_by']}")
        if row["silenced_until"] and row["silenced_until"].replace(tzinfo=UTC) > datetime.now(UTC):
            notes.append(f"silent until {stamp(row['silenced_until'])}")
        observed = "-" if row["observed"] is None else f"{row['observed']:,.6g}"
        table.add_row(
            row["alert_id"][:8],
            f"[{_COLOURS[row['severity']]}]{row['severity']}[/]",
            row["state"],
            row["policy_id"],
            scope,
            row["window"],
            observed,
            f"{row['threshold']:,.6g}",
            stamp(row["opened_at"]),
            ", ".join(note for note in notes if note),
        )
    return table


def _act(client: Client, action: Name, by: str, reason: str, **columns: Any) -> None:
    row = Action(by or getpass.getuser(), action, reason, **columns).row
    client.insert(TABLE, [row], column_names=COLUMNS, database=DATABASE)


def _resolve(client: Client, alert_id: str) -> str:
    """An alert by its id or the beginning of it.

    Raises:
        UserError: no alert, or more than one, begins like that.
    """
    if not re.fullmatch("[0-9a-f]{4,32}", alert_id):
        raise UserError(f"{alert_id!r} is no alert id.", "`jangar-quant alerts list` shows them.")
    found = [
        row[0]
        for row in client.query(
            "select distinct alert_id from quant.quant_alerts where startsWith(alert_id, {alert_id:String}) limit 2",
            parameters={"alert_id": alert_id},
        ).result_rows
    ]
    if len(found) != 1:
        said = "There is no alert" if not found else "There is more than one alert"
        raise UserError(f"{said} {alert_id}.", "`jangar-quant alerts list --state all` shows them.")
    return str(found[0])


def _known_policy(client: Client, policy: str) -> str:
    names = [row[0] for row in client.query("select policy_id from quant.alert_policies order by 1").result_rows]
    if policy and policy not in names:
        raise UserError(f"There is no policy {policy!r}.", f"Policies: {', '.join(names)}.")
    return policy


@contextmanager
def _warehouse() -> Iterator[Client]:
    from clickhouse_connect.driver.exceptions import DatabaseError

    from orchestration.warehouse.client import connect

    client = connect(get_settings())
    try:
        yield client
    except DatabaseError as error:
        if getattr(error, "code", None) in UNKNOWN_TABLE_OR_DATABASE:
            raise UserError(
                "The warehouse holds no alerts yet.", "Start the product with `make up`, which builds them."
            ) from error
        raise
    finally:
        client.close()
