"""Replay: what is done of a backfill, kept in the warehouse, so that it goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from orchestration.replay.moments import Session
from orchestration.replay.scope import Scope

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@dataclass
class Run:
    """One run of a backfill: its moments end at `ends_at` and are evaluated with what was known at `known_at`.

    `done_until` has, by session, the moment up to which everything is done.
    """

    key: str
    started_at: datetime
    known_at: datetime
    ends_at: datetime
    done_until: dict[tuple[str, date], datetime] = field(default_factory=dict)

    def pending(self, session: Session) -> range:
        """The moments of a session that are not done."""
        return session.behind(self.done_until.get(session.key))


def run_key(client: Client, scope: Scope, start: datetime, end: datetime, step: int) -> str:
    """What makes two backfills the same one: what they recompute, and the versions of the formulas."""
    versions = client.query(
        "select metric_name, toString(formula_version), tier from quant.metric_definitions order by metric_name"
    ).result_rows
    arguments = [*scope.parameters.values(), start.isoformat(), end.isoformat(), step, *map(list, versions)]
    return hashlib.sha256(json.dumps(arguments).encode()).hexdigest()


def last_run(client: Client, key: str) -> Run | None:
    """The last run of a backfill; None when nothing of it is done."""
    rows = client.query(
        "select started_at, known_at, ends_at, calendar, session_date, done_until from quant.backfill_progress final"
        " where run_key = {key:String} order by started_at desc limit 1 with ties",
        parameters={"key": key},
    ).result_rows
    if not rows:
        return None
    started_at, known_at, ends_at = rows[0][:3]
    return Run(key, started_at, known_at, ends_at, {(row[3], row[4]): row[5] for row in rows})


def record(client: Client, run: Run, session: Session, done_until: datetime) -> None:
    """Keep that a session is done up to a moment."""
    run.done_until[session.key] = done_until
    row = {
        "run_key": run.key,
        "started_at": run.started_at,
        "calendar": session.calendar,
        "session_date": session.session_date,
        "known_at": run.known_at,
        "ends_at": run.ends_at,
        "done_until": done_until,
    }
    client.insert("quant.backfill_progress", [list(row.values())], column_names=list(row), settings={"async_insert": 0})
