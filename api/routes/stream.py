"""GET stream: server-sent events of metrics and alerts as they change."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Annotated, Literal, cast, get_args

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from fastapi.sse import format_sse_event

from api.deps import FramesDep, HubDep, LimitsDep, SettingsDep
from api.errors import ApiError
from api.frames import NewestFrames, Scope
from api.models import Window
from api.scopes import resolve_strategy
from api.security.access import PrincipalDep, access_of, address_of
from api.stream.cursor import Cursor
from api.stream.hub import AlertEvent, Hub

router = APIRouter(tags=["quant"])

MAXIMUM_LISTENERS = 2000
MAXIMUM_SCOPES = 500
_SCOPE = re.compile(r"(?P<strategy>[^|]{0,255})\|(?P<account>[^|]{0,64})\|(?P<window>[^|]*)")


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events, until one side hangs up."}},
)
async def stream(
    hub: HubDep,
    frames: FramesDep,
    settings: SettingsDep,
    limits: LimitsDep,
    principal: PrincipalDep,
    request: Request,
    strategy_id: Annotated[
        str, Query(max_length=255, description="Id or unique name of a strategy. Empty: the whole account.")
    ] = "",
    account: Annotated[str, Query(max_length=64, description="Account label. Empty: all accounts.")] = "",
    window: Annotated[Window, Query(description="Window of the frame.")] = "1d",
    scope: Annotated[
        list[str] | None,
        Query(
            max_length=MAXIMUM_SCOPES,
            description="Several scopes at once, in place of the three: `strategy|account|window` each.",
        ),
    ] = None,
    snapshot: Annotated[
        bool, Query(description="Begin with whole frames also behind `Last-Event-ID`: other scopes than before.")
    ] = False,
    alerts: Annotated[
        Literal["scope", "all"], Query(description="Alerts that are told: those of the scopes, or all there are.")
    ] = "scope",
    last_event_id: Annotated[
        str, Header(max_length=100, description="Id of the last event that was seen: goes on behind it.")
    ] = "",
) -> StreamingResponse:
    """Metrics and alerts of one or several scopes as they change.

    `quant.metrics.snapshot` comes first, one per scope, then `quant.metrics.delta` with the metrics that changed,
    `quant.alert.opened` and `quant.alert.resolved`. With `Last-Event-ID` deltas and alerts go on where they were; an
    alert may then come twice, by the same `alert_id`.
    """
    wanted = scope or [f"{strategy_id}|{account}|{window}"]
    scopes = list(dict.fromkeys([await _scope(frames, one) for one in wanted]))
    if hub.listeners >= MAXIMUM_LISTENERS:
        raise ApiError(503, "Too many listen already.", "Try again later.")
    client = principal.name if principal.key_id else address_of(request)
    events = _limited(
        limits.streaming(client),
        lambda: access_of(request).is_still_good(principal),
        _events(
            hub,
            scopes,
            Cursor.parse(last_event_id),
            snapshot,
            scopes if alerts == "scope" else None,
            settings.stream_heartbeat_ms / 1000,
        ),
    )
    # What fails before the first event is an answer of its own.
    first = await anext(events)
    return StreamingResponse(
        _chain(first, events),
        media_type="text/event-stream",
        # A proxy that gathers events before it passes them on makes them late.
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _limited(
    slot: AbstractContextManager[None], may_go_on: Callable[[], bool], events: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    """The events while they hold a slot, until whoever listens may not any more."""
    with slot:
        async for event in events:
            if not may_go_on():
                return
            yield event


async def _chain(first: bytes, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for event in events:
        yield event


async def _events(
    hub: Hub,
    scopes: list[Scope],
    resumed: Cursor | None,
    is_whole: bool,
    concerned: list[Scope] | None,
    heartbeat: float,
) -> AsyncIterator[bytes]:
    async with hub.listening(scopes):
        number, alert_number = hub.number, hub.alert_number
        tiers = await hub.tiers()
        batch: list[tuple[str, str]] = []
        for scope in scopes:
            if resumed is None or is_whole:
                batch.append(("quant.metrics.snapshot", hub.frame(scope, -1) or _empty(scope)))
            elif delta := hub.frame_since(scope, resumed, tiers):
                batch.append(("quant.metrics.delta", delta))
        if resumed is not None:
            batch += map(_alert, await hub.alerts_since(resumed.alerts, concerned))
        yield format_sse_event(retry=2000, comment="jangar-quant")
        for event in _encode(batch, hub.cursor):
            yield event
        while not hub.is_ending:
            if not await hub.wait(number, alert_number, heartbeat):
                yield format_sse_event(comment="")
                continue
            alerts = hub.alerts(alert_number, concerned)
            if alerts is None:
                # So far behind that it has to come back, and reads them from the warehouse.
                return
            since, number, alert_number, cursor = number, hub.number, hub.alert_number, hub.cursor
            deltas = [("quant.metrics.delta", text) for scope in scopes if (text := hub.frame(scope, since))]
            for event in _encode([*map(_alert, alerts), *deltas], cursor):
                yield event


def _encode(batch: list[tuple[str, str]], cursor: Cursor) -> list[bytes]:
    """Events; the last one alone has an id: whoever is cut off between them is told all of them again."""
    last = len(batch) - 1
    return [
        format_sse_event(event=name, data_str=text, id=str(cursor) if place == last else None)
        for place, (name, text) in enumerate(batch)
    ]


def _alert(event: AlertEvent) -> tuple[str, str]:
    return event.name, event.alert.model_dump_json()


def _empty(scope: Scope) -> str:
    return json.dumps({**scope._asdict(), "as_of": None, "metrics": []})


async def _scope(frames: NewestFrames, text: str) -> Scope:
    found = _SCOPE.fullmatch(text)
    if found is None or found["window"] not in get_args(Window):
        windows = ", ".join(get_args(Window))
        raise ApiError(400, f"scope: {text[:100]!r} is none.", f"Write strategy|account|window; windows: {windows}.")
    strategy, _ = await resolve_strategy(frames, found["strategy"])
    return Scope(strategy, found["account"], cast(Window, found["window"]))
