"""Replay: one backfill, from its plan to the last moment that is in the series."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestration.errors import UserError
from orchestration.replay.moments import Session, moment_of, plan
from orchestration.replay.progress import Run, last_run, record, run_key
from orchestration.replay.scope import Scope, frame_columns
from orchestration.transform.on_demand import FRAME_SETTINGS, frames_query, moment_of_frame

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

# A moment costs planning, which takes one core: on two, two at a time gave 1.4 times as many moments as one, three less
# than two.
_WORKERS = 2
# How much a kill makes compute again, and how many rows the progress costs.
_SECONDS_BETWEEN_RECORDS = 5.0

# A moment of this session is in the series.
OnProgress = Callable[[Session], None]


@dataclass(frozen=True)
class BackfillRequest:
    """What to recompute: the moments of a grid, `step` seconds apart."""

    scope: Scope
    start: datetime
    end: datetime
    step: int
    again: bool = False


@dataclass(frozen=True)
class Backfill:
    """A backfill that was looked at and is ready to run."""

    run: Run
    sessions: list[Session]

    @property
    def moments(self) -> int:
        """All its moments."""
        return sum(len(session.moments) for session in self.sessions)

    @property
    def pending(self) -> int:
        """Its moments that are not done."""
        return sum(len(self.run.pending(session)) for session in self.sessions)


def prepare(client: Client, request: BackfillRequest) -> Backfill:
    """Lay out a backfill: a new one, or the rest of one that was stopped.

    Raises:
        UserError: nothing can be recomputed for the request.
    """
    start = _first_moment(client, request)
    key = run_key(client, request.scope, start, request.end, request.step)
    run = last_run(client, key) or _new_run(client, key, request)
    found = Backfill(run, plan(client, request.scope, start, run.ends_at, request.step))
    if request.again and found.pending == 0:
        run = _new_run(client, key, request)
        found = Backfill(run, plan(client, request.scope, start, run.ends_at, request.step))
    return found


def run_backfill(client: Client, request: BackfillRequest, backfill: Backfill, on_progress: OnProgress) -> int:
    """Recompute what is pending, session by session, and return the number of rows; what is done is kept on the way."""
    target = _target(client)
    known_at = backfill.run.known_at

    def recompute(moment: int) -> int:
        as_of = moment_of(moment)
        result = client.query(
            f"{target} from ({frames_query(client, as_of, known_at, request.scope.account)}) as frame"
            " inner join (select metric_name, toString(tier) as tier from quant.metric_definitions) as definition"
            f" on frame.metric_name = definition.metric_name where {request.scope.condition}",
            parameters={**request.scope.parameters, **moment_of_frame(as_of, known_at, request.scope.account)},
            settings={"async_insert": 0, **FRAME_SETTINGS},
        )
        return int(result.summary["written_rows"])

    rows = 0
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="backfill") as workers:
        for session in backfill.sessions:
            done, recorded_at = None, time.monotonic()
            try:
                with closing(_in_order(workers, recompute, backfill.run.pending(session))) as recomputed:
                    for moment, written in recomputed:
                        rows += written
                        done = moment
                        on_progress(session)
                        if time.monotonic() - recorded_at > _SECONDS_BETWEEN_RECORDS:
                            record(client, backfill.run, session, moment_of(moment))
                            done, recorded_at = None, time.monotonic()
            finally:
                # Also when the run is cancelled.
                if done is not None:
                    record(client, backfill.run, session, moment_of(done))
    return rows


def _in_order(
    workers: ThreadPoolExecutor, recompute: Callable[[int], int], moments: range
) -> Generator[tuple[int, int], None, None]:
    """Recompute moments side by side and yield each with its rows, in their order, so that nothing is left out."""
    waiting: deque[tuple[int, Future[int]]] = deque()
    try:
        for moment in moments:
            waiting.append((moment, workers.submit(recompute, moment)))
            # One more than there are workers, so that none of them waits for this thread.
            if len(waiting) > _WORKERS:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def _target(client: Client) -> str:
    """The beginning of the insert: which columns of a frame and of its metric's definition go where."""
    columns = frame_columns(client)
    return (
        f"insert into quant.quant_metrics_series ({', '.join(columns)}, tier)"
        f" select {', '.join(f'frame.{name}' for name in columns)}, definition.tier"
    )


def _new_run(client: Client, key: str, request: BackfillRequest) -> Run:
    """A run that begins now, with what the last tick knew: what comes in while it runs changes nothing of it."""
    newest_live, known_at = client.query(
        # The newest moment of a tier is the cursor from which it goes on; a tier that has never run has none.
        "select (select min(newest) from (select max(as_of) as newest from quant.quant_metrics_series"
        " where tier in (select tier from quant.metric_definitions"
        " where metric_name in (select metric_name from quant.quant_metrics_latest)) group by tier)"
        # Behind ticks that have stopped, what came in since then counts.
        " having count() > 0) as newest_live,"
        " (select if(max(as_of) > now64(3) - interval 1 minute, max(as_of), now64(3)) from quant.known_state)"
        " as known_at"
    ).result_rows[0]
    ends_at = min(moment for moment in (request.end, known_at, newest_live) if moment is not None)
    if ends_at < request.start:
        raise UserError(
            f"The live tiers have come to {ends_at:%Y-%m-%d %H:%M:%S} UTC, which is before --from.",
            "Give an earlier --from, or wait: a backfill never runs ahead of them.",
        )
    return Run(key, datetime.now(UTC), known_at, ends_at)


def _first_moment(client: Client, request: BackfillRequest) -> datetime:
    """From when on there is anything to recompute, and the series keeps it."""
    first_at, _, kept_from = client.query(
        "select (select min(first_at) from quant.scope_evidence"
        " where ({account:String} = '' or account = {account:String})"
        " and ({strategy_id:String} = '' or strategy_id = {strategy_id:String}) having count() > 0) as first_at,"
        " (select toUInt32OrZero(extract(engine_full, 'toIntervalDay\\\\((\\\\d+)\\\\)')) as days from system.tables"
        " where database = 'quant' and name = 'quant_metrics_series') as kept_days,"
        " if(kept_days = 0, toDateTime64(0, 3, 'UTC'), now64(3) - toIntervalDay(kept_days)) as kept_from",
        parameters=request.scope.parameters,
    ).result_rows[0]
    if request.start < kept_from:
        raise UserError(f"The series keeps nothing before {kept_from:%Y-%m-%d %H:%M} UTC.", "Give a later --from.")
    if first_at is None or first_at > request.end:
        raise UserError(
            f"Nothing had happened by {request.end:%Y-%m-%d %H:%M:%S} UTC in this scope.",
            "Give a later --to, or another --strategy and --account that traded together.",
        )
    began: datetime = first_at
    return max(request.start, began)
