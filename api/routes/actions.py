"""POST acknowledge and silences: what operators do about alerts, each a row that stays and a line in the log."""

import logging
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from api.deps import FramesDep, WarehouseDep
from api.errors import ApiError
from api.models import ActionResponse, Silence, SilencesResponse
from api.problems import problems
from api.scopes import resolve_strategy
from api.security.access import OperatorDep, address_of
from api.warehouse import Warehouse
from orchestration.alerts.actions import Action, parse_length

router = APIRouter(tags=["alerts"], responses=problems(403, 404))
logger = logging.getLogger(__name__)

AlertId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Id of an episode.")]
_Reason = Annotated[str, Field(min_length=1, max_length=1000, description="Why; whoever comes next reads it.")]


class Reason(BaseModel):
    """Body of what needs nothing but a reason."""

    model_config = ConfigDict(extra="forbid")

    reason: _Reason


class SilenceRequest(BaseModel):
    """Body of `POST silences`: at least one of the four says what is silent."""

    model_config = ConfigDict(extra="forbid")

    length: Annotated[
        str, Field(alias="for", pattern=r"^\d{1,6}[mhd]$", description="How long: 30m, 2h or 1d; at most 30d.")
    ]
    reason: _Reason
    alert_id: Annotated[str, Field(pattern="^([0-9a-f]{32}|)$", description="One alert.")] = ""
    policy_id: Annotated[str, Field(max_length=64, description="Every alert of a policy.")] = ""
    strategy_id: Annotated[str, Field(max_length=255, description="Of one strategy: id or unique name.")] = ""
    account: Annotated[str, Field(max_length=64, description="Of one account.")] = ""


@router.post("/alerts/{alert_id}/acknowledge", status_code=201)
async def acknowledge(
    request: Request, warehouse: WarehouseDep, operator: OperatorDep, alert_id: AlertId, wanted: Reason
) -> ActionResponse:
    """Somebody looks after an alert: it is not told again, and shows who."""
    await _require_alert(warehouse, alert_id)
    return await _act(request, warehouse, Action(operator.name, "acknowledge", wanted.reason, alert_id=alert_id))


@router.get("/silences")
async def silences(warehouse: WarehouseDep) -> SilencesResponse:
    """What is silent now, the newest first."""
    return SilencesResponse(silences=[Silence(**row) for row in await warehouse.rows("silences")])


@router.post("/silences", status_code=201)
async def silence(
    request: Request, warehouse: WarehouseDep, frames: FramesDep, operator: OperatorDep, wanted: SilenceRequest
) -> ActionResponse:
    """Tell nobody about some alerts for a while. They open and are kept as always."""
    until = datetime.now(UTC) + parse_length(wanted.length)
    if wanted.alert_id:
        await _require_alert(warehouse, wanted.alert_id)
    if wanted.policy_id:
        names = [row["policy_id"] for row in await warehouse.rows("alert_policies")]
        if wanted.policy_id not in names:
            raise ApiError(404, f"policy_id: there is no policy {wanted.policy_id!r}.", f"Known: {', '.join(names)}.")
    strategy_id, _ = await resolve_strategy(frames, wanted.strategy_id)
    action = Action(
        operator.name,
        "silence",
        wanted.reason,
        alert_id=wanted.alert_id,
        policy_id=wanted.policy_id,
        strategy_id=strategy_id,
        account=wanted.account,
        silenced_until=until,
    )
    return await _act(request, warehouse, action)


@router.post("/silences/{silence_id}/end", status_code=201)
async def end_silence(
    request: Request,
    warehouse: WarehouseDep,
    operator: OperatorDep,
    silence_id: Annotated[str, Path(pattern="^[0-9a-f-]{36}$", description="Id of a silence.")],
    wanted: Reason,
) -> ActionResponse:
    """End a silence before its time."""
    found = next((row for row in await warehouse.rows("silences") if row["silence_id"] == silence_id), None)
    if found is None:
        raise ApiError(404, "silence_id: there is no such silence any more.", "GET silences lists them.")
    action = Action(
        operator.name,
        "unsilence",
        wanted.reason,
        alert_id=found["alert_id"],
        policy_id=found["policy_id"],
        strategy_id=found["strategy_id"],
        account=found["account"],
    )
    return await _act(request, warehouse, action)


async def _require_alert(warehouse: Warehouse, alert_id: str) -> None:
    if not await warehouse.rows("alert", {"alert_id": alert_id}):
        raise ApiError(404, "alert_id: there is no such alert.", "GET alerts?state=all lists them.")


async def _act(request: Request, warehouse: Warehouse, action: Action) -> ActionResponse:
    await warehouse.write(action)
    scope = {"alert": action.alert_id, "policy": action.policy_id, "strategy": action.strategy_id}
    logger.info(
        "audit: %s (%s) %s %s: %s",
        action.actor,
        address_of(request),
        action.action,
        " ".join(f"{name}={value}" for name, value in {**scope, "account": action.account}.items() if value),
        # One line, whatever is in it.
        action.reason.encode("unicode_escape").decode(),
    )
    return ActionResponse(
        action_id=action.action_id, acted_at=action.acted_at, actor=action.actor, action=action.action
    )
