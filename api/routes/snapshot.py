"""GET snapshot: the newest frame of one scope and window, or the frame at any past moment."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from api.alerts import alert_of, alerts_at, concerns
from api.deps import FramesDep, WarehouseDep
from api.errors import ApiError
from api.frames import Scope, metric_of
from api.models import Frame, SnapshotResponse, Window
from api.past import past_frame
from api.quality import worst
from api.scopes import resolve_strategy
from api.times import past_moment, utc
from api.warehouse import Warehouse

router = APIRouter(tags=["quant"])


@router.get("/snapshot", response_model=SnapshotResponse, responses={304: {"description": "As it was told before."}})
async def snapshot(
    warehouse: WarehouseDep,
    frames: FramesDep,
    response: Response,
    strategy_id: Annotated[
        str, Query(max_length=255, description="Id or unique name of a strategy. Empty: the whole account.")
    ] = "",
    account: Annotated[str, Query(max_length=64, description="Account label. Empty: all accounts.")] = "",
    window: Annotated[Window, Query(description="Window of the frame.")] = "1d",
    as_of: Annotated[
        datetime | None,
        Query(description="A past moment (ISO 8601; without a zone it is UTC). Default: the newest frame."),
    ] = None,
    known_at: Annotated[
        datetime | None,
        Query(description="With `as_of`: from what was known at this moment. Default: what is known now."),
    ] = None,
    if_none_match: Annotated[str, Header(include_in_schema=False)] = "",
) -> SnapshotResponse | Response:
    """The metric frame of one scope and window, with quality and freshness of every metric."""
    now = datetime.now(UTC)
    if as_of is not None:
        as_of = past_moment(as_of)
    if known_at is not None and (as_of is None or utc(known_at) > now):
        raise ApiError(400, "known_at: lies in the future, or comes without `as_of`.", "Give both, and earlier.")
    strategy_id, name = await resolve_strategy(frames, strategy_id)
    scope = Scope(strategy_id, account, window)
    seconds = 0.0
    if as_of is None:
        rows, seconds = await frames.frame(scope)
    else:
        rows = await past_frame(warehouse, scope, as_of, utc(known_at) if known_at else now)
    if not rows:
        await _explain_absence(warehouse, strategy_id, account, as_of)
    metrics = [metric_of(row, seconds) for row in rows]
    if as_of is None:
        active = [alert for alert in map(alert_of, await frames.alerts()) if concerns(alert, scope)]
    else:
        active = await alerts_at(warehouse, scope, as_of)
    frame_as_of = max(metric.as_of for metric in metrics)
    body = SnapshotResponse(
        frame=Frame(
            strategy_id=strategy_id,
            strategy_name=name,
            account=account,
            window=window,
            as_of=frame_as_of,
            frame_age_seconds=0 if as_of else max(0.0, round((now - frame_as_of).total_seconds(), 3)),
            quality=worst(metric.quality for metric in metrics if metric.status == "ok"),
            metrics=metrics,
            alerts=active,
        )
    )
    tag = _tag(body)
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in if_none_match:
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return body


def _tag(body: SnapshotResponse) -> str:
    """Weak, since ages go on: everything else decides."""
    text = body.model_dump_json(
        exclude={"frame": {"frame_age_seconds": True, "metrics": {"__all__": {"freshness_seconds"}}}}
    )
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:24]}"'


async def _explain_absence(warehouse: Warehouse, strategy_id: str, account: str, as_of: datetime | None) -> None:
    """Tell why a scope has no frame."""
    accounts: list[dict[str, Any]] = await warehouse.rows("accounts")
    names = [row["account"] for row in accounts]
    if account and account not in names:
        raise ApiError(404, f"account: there is no account {account!r}.", f"Known: {', '.join(names) or 'none yet'}.")
    if as_of is None and not names:
        raise ApiError(503, "No frame has been computed yet.", "The first one follows the first mirrored facts.")
    raise ApiError(
        404,
        "This strategy and account have no frame together" + (" at that moment." if as_of else "."),
        "Leave one of strategy_id and account empty for the whole account or the whole strategy.",
    )
