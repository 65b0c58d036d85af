"""Gates: rows and sums of the source against the mirror, by table and day.

Nothing stops meanwhile. The mirror is read before and after the source: what the source says must lie between the two,
since rows and filled quantities only grow. A day at which the mirror stands still must agree exactly.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from psycopg import sql

from orchestration.gates.verdict import Finding, Verdict, gates

if TYPE_CHECKING:
    import psycopg
    from clickhouse_connect.driver.client import Client

_ATTEMPTS = 3
_COMPLETE_SECONDS = 60.0
_POLL_SECONDS = 0.2
_DAY, _ACCOUNT = "created_at", "alpaca_account_label"

# Day and account -> rows and sums.
_Sums = dict[tuple[date, str], tuple[Decimal, ...]]


@dataclass(frozen=True)
class Difference:
    """A day of an account at which the two disagree: what is compared, in the source, in the mirror."""

    day: date
    account: str
    what: str
    source: Decimal
    mirrored: Decimal


def matches_source(source: psycopg.Connection, client: Client, table: str, days: int) -> Verdict:
    """Compare a mirrored table with its source: the last `days` days, 0 for all of them."""
    check, gate = f"matches_source:{table}", gates()["matches_source"]
    columns = _columns(client, table)
    if not columns or not _exists(source, table):
        return Verdict(check, gate, gate.severity, [], {"note": "not in the source"})
    since = date(1, 1, 1) if days == 0 else (datetime.now(UTC) - timedelta(days=days - 1)).date()
    account = _ACCOUNT if _ACCOUNT in columns else ""
    summed = sorted(name for name, kind in columns.items() if "Decimal" in kind)
    names = ["rows", *(f"sum of {name}" for name in summed)]
    for attempt in range(_ATTEMPTS):
        before = _mirrored(client, table, account, summed, since)
        moment = _clock(source)
        expected = _of_source(source, table, account, summed, since)
        _await_complete(client, moment)
        after = _mirrored(client, table, account, summed, since)
        different, moving = differences(names, before, expected, after)
        if not moving or attempt == _ATTEMPTS - 1:
            break
    findings = [
        Finding(
            f"{table} {d.day}{f' {d.account}' if d.account else ''}: {d.what} {d.source} != {d.mirrored}", d.account
        )
        for d in different
    ]
    rows = sum((sums[0] for sums in expected.values()), Decimal(0))
    return Verdict(check, gate, gate.severity, findings, {"rows": int(rows), "days": len({k[0] for k in expected})})


def differences(names: list[str], before: _Sums, expected: _Sums, after: _Sums) -> tuple[list[Difference], bool]:
    """What lies outside of before and after, and whether any of it belongs to a day that moved in between."""
    found, moving = [], False
    nothing = (Decimal(0),) * len(names)
    for key in sorted(before.keys() | expected.keys() | after.keys()):
        bounds = zip(before.get(key, nothing), expected.get(key, nothing), after.get(key, nothing), strict=True)
        for name, (first, wanted, last) in zip(names, bounds, strict=True):
            if not min(first, last) <= wanted <= max(first, last):
                found.append(Difference(*key, name, wanted, last))
                moving |= before.get(key) != after.get(key)
    return found, moving


def _columns(client: Client, table: str) -> dict[str, str]:
    rows = client.query(
        "select name, type from system.columns where database = 'torghut_raw' and table = {table:String}"
        " and name not like '\\\\_%'",
        parameters={"table": table},
    ).result_rows
    return {row[0]: row[1] for row in rows}


def _exists(source: psycopg.Connection, table: str) -> bool:
    row = source.execute("select to_regclass(%s) is not null", (table,)).fetchone()
    return bool(row and row[0])


def _mirrored(client: Client, table: str, account: str, summed: list[str], since: date) -> _Sums:
    sums = "".join(f", sum(ifNull(toDecimal256({name}, 12), 0))" for name in summed)
    label = f"ifNull(toString({account}), '')" if account else "''"
    rows = client.query(
        f"select toDate32({_DAY}) as day, {label} as account,"
        f" toDecimal256(count(), 0){sums} from torghut_raw.{table} final"
        f" where toDate32({_DAY}) >= {{since:Date32}} group by day, account",
        parameters={"since": max(since, date(1900, 1, 1))},
    ).result_rows
    return _sums_of(rows)


def _of_source(source: psycopg.Connection, table: str, account: str, summed: list[str], since: date) -> _Sums:
    sums = sql.SQL("").join(
        # What the mirror cannot hold is NULL there.
        sql.SQL(", coalesce(sum({0}) filter (where {0} <> 'NaN'), 0)").format(sql.Identifier(name))
        for name in summed
    )
    query = sql.SQL(
        "select (created_at at time zone 'UTC')::date as day, coalesce({account}, '') as account,"
        " count(*)::numeric{sums} from {table} where created_at >= %s group by 1, 2"
    ).format(
        account=sql.SQL("{}::text").format(sql.Identifier(account)) if account else sql.Literal(""),
        sums=sums,
        table=sql.Identifier(table),
    )
    moment = datetime(since.year, since.month, since.day, tzinfo=UTC)
    return _sums_of(source.execute(query, (moment,)).fetchall())


def _sums_of(rows: Any) -> _Sums:
    return {(row[0], row[1]): tuple(Decimal(value) for value in row[2:]) for row in rows}


def _clock(source: psycopg.Connection) -> datetime:
    row = source.execute("select clock_timestamp()").fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


def _await_complete(client: Client, moment: datetime) -> None:
    """Wait, not for ever, until all that the source committed before is in the mirror."""
    deadline = time.monotonic() + _COMPLETE_SECONDS
    while time.monotonic() < deadline:
        (row,) = client.query("select max(watermark) from torghut_raw.mirror_checkpoint").result_rows
        if row[0] >= moment:
            return
        time.sleep(_POLL_SECONDS)
