"""GET snapshot: the newest frame of one scope and window, or the frame at any past moment."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from api.alerts import alerts_at
from api.deps import FramesDep, SnapshotsDep, WarehouseDep
from api.errors import ApiError
from api.frames import Scope
from api.models import SnapshotResponse, Window
from api.past import past_frame, recorded_frame
from api.rendered import Rendered, body_of
from api.scopes import resolve_strategy
from api.times import Moment, utc
from api.warehouse import Warehouse

router = APIRouter(tags=["quant"])


@router.get("/snapshot", response_model=SnapshotResponse, responses={304: {"description": "As it was told before."}})
async def snapshot(
    warehouse: WarehouseDep,
    frames: FramesDep,
    snapshots: SnapshotsDep,
    strategy_id: Annotated[
        str, Query(max_length=255, description="Id or unique name of a strategy. Empty: the whole account.")
    ] = "",
    account: Annotated[str, Query(max_length=64, description="Account label. Empty: all accounts.")] = "",
    window: Annotated[Window, Query(description="Window of the frame.")] = "1d",
    as_of: Annotated[
        Moment | None,
        Query(description="A past moment (ISO 8601; without a zone it is UTC). Default: the newest frame."),
    ] = None,
    known_at: Annotated[
        Moment | None,
        Query(description="With `as_of`: from what was known at this moment. Default: what is known now."),
    ] = None,
    recorded: Annotated[
        bool,
        Query(description="With `as_of`: as it was served then, from the series, at once. Default: computed anew."),
    ] = False,
    if_none_match: Annotated[str, Header(include_in_schema=False)] = "",
) -> Response:
    """The metric frame of one scope and window, with quality and freshness of every metric."""
    now = datetime.now(UTC)
    if as_of is not None:
        as_of = utc(as_of)
        if as_of > now:
            raise ApiError(400, "as_of: lies in the future.", f"It is {now.isoformat(timespec='seconds')} now.")
    if known_at is not None and (as_of is None or utc(known_at) > now):
        raise ApiError(400, "known_at: lies in the future, or comes without `as_of`.", "Give both, and earlier.")
    if recorded and (as_of is None or known_at is not None):
        raise ApiError(400, "recorded: goes with `as_of`, and without `known_at`.", "Give one of the two.")
    strategy_id, name = await resolve_strategy(frames, strategy_id)
    scope = Scope(strategy_id, account, window)
    if as_of is None:
        found = await snapshots.newest(scope, name)
        if found is None:
            raise await _absence(warehouse, account, as_of)
        rendered, seconds = found
        text = rendered.text(seconds, rendered.age)
    else:
        if recorded:
            rows = await recorded_frame(warehouse, await frames.levels(), scope, as_of, now)
        else:
            rows = await past_frame(warehouse, scope, as_of, utc(known_at) if known_at else now)
        if not rows:
            raise await _absence(warehouse, account, as_of)
        rendered = Rendered(body_of(scope, name, rows, await alerts_at(warehouse, scope, as_of)))
        text = rendered.text(0, 0)
    headers = {"ETag": rendered.tag, "Cache-Control": "no-cache"}
    if rendered.tag in if_none_match:
        return Response(status_code=304, headers=headers)
    return Response(text, media_type="application/json", headers=headers)


async def _absence(warehouse: Warehouse, account: str, as_of: datetime | None) -> ApiError:
    """Why a scope has no frame."""
    accounts: list[dict[str, Any]] = await warehouse.rows("accounts")
    names = [row["account"] for row in accounts]
    if account and account not in names:
        return ApiError(404, f"account: there is no account {account!r}.", f"Known: {', '.join(names) or 'none yet'}.")
    if as_of is None and not names:
        return ApiError(503, "No frame has been computed yet.", "The first one follows the first mirrored facts.")
    return ApiError(
        404,
        "This strategy and account have no frame together" + (" at that moment." if as_of else "."),
        "Leave one of strategy_id and account empty for the whole account or the whole strategy.",
    )
