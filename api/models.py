"""The bodies of responses: objects only, so that keys can be added."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

Window = Literal["1m", "5m", "15m", "1h", "1d", "5d", "20d"]
Quality = Literal["good", "stale", "closed", "insufficient_data", "error"]


class Metric(BaseModel):
    """One metric of a frame."""

    metric_name: str
    value: float | None = Field(description="Null unless `status` is `ok`; rounded once, by the metric's precision.")
    unit: str
    status: Literal["ok", "insufficient_data", "error"]
    quality: Quality
    reason: str = Field(description="Why there is no value, or why its quality is not good; else empty.")
    as_of: datetime
    freshness_seconds: float | None = Field(
        description="Age, at this response, of the moment up to which inputs are complete; null when nothing says."
    )
    watermark: datetime | None = Field(description="Everything committed at the source up to here is included.")
    last_event_at: datetime | None = Field(description="Newest event that the value rests on.")
    sample_count: int
    window_start: datetime
    window_end: datetime
    formula_version: str
    meta: dict[str, Any]


class Evidence(BaseModel):
    """A frame that counted towards the opening of an alert."""

    as_of: datetime
    value: float


class Alert(BaseModel):
    """An episode: from its opening to its end."""

    alert_id: str
    policy_id: str
    policy_version: str = Field(description="Version of the policy under which it opened.")
    metric_name: str = Field(description="Name of the metric, or of the pipeline's signal.")
    strategy_id: str = Field(description="Empty: over all strategies.")
    strategy_name: str
    account: str = Field(description="Empty: over all accounts.")
    window: str = Field(description="Empty for signals of the pipeline.")
    severity: Literal["critical", "warning", "info"]
    category: Literal["strategy", "data"] = Field(description="`data`: about the numbers, not about the strategy.")
    threshold: float
    observed: float | None = Field(description="Value at the last change of `state`.")
    peak: float = Field(description="The worst value up to then.")
    state: Literal["open", "recovering", "no_data", "resolved"]
    opened_at: datetime
    updated_at: datetime = Field(description="When `state` last changed.")
    resolved_at: datetime | None
    reason: str = Field(description="Why `state` changed, where it was not the value.")
    runbook: str
    evidence: list[Evidence]
    acknowledged_by: str
    acknowledged_at: datetime | None
    acknowledgement: str
    silenced_until: datetime | None


class AlertsResponse(BaseModel):
    """Body of `GET alerts`."""

    ok: Literal[True] = True
    alerts: list[Alert] = Field(description="From the last opened to the first.")
    truncated: bool = Field(description="There are more than `limit`.")


class AlertChange(BaseModel):
    """Something that happened to an alert."""

    at: datetime
    state: str = Field(description="The new state, or acknowledge, silence, unsilence.")
    observed: float | None
    reason: str
    actor: str = Field(description="Who did it; empty for what the policy did.")


class AlertResponse(BaseModel):
    """Body of `GET alerts/{alert_id}`."""

    ok: Literal[True] = True
    alert: Alert
    history: list[AlertChange]


class Frame(BaseModel):
    """The metrics of one (strategy, account, window) at one moment."""

    strategy_id: str = Field(description="Empty: the whole account.")
    strategy_name: str
    account: str = Field(description="Empty: all accounts.")
    window: Window
    as_of: datetime
    frame_age_seconds: float = Field(description="Time from `as_of` to this response; 0 for a frame of the past.")
    quality: Quality = Field(description="The worst quality of the metrics that have a value.")
    metrics: list[Metric]
    alerts: list[Alert] = Field(
        description="Alerts that were not resolved then: of this scope and window, and those about the numbers."
    )


class SnapshotResponse(BaseModel):
    """Body of `GET snapshot`."""

    ok: Literal[True] = True
    frame: Frame


class MetricSeries(BaseModel):
    """One metric at every moment of the axis."""

    unit: str
    values: list[float | None] = Field(description="Null: no value, or nothing was computed then.")
    quality: list[str] = Field(description="Empty: nothing was computed then.")


class Series(BaseModel):
    """Metrics of one (strategy, account, window) over time, all on one axis."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    strategy_id: str = Field(description="Empty: the whole account.")
    strategy_name: str
    account: str = Field(description="Empty: all accounts.")
    window: Window
    start: datetime = Field(alias="from")
    end: datetime = Field(alias="to")
    resolution: Literal["full", "minute", "hour"] = Field(description="How finely the series keeps the time asked for.")
    step_seconds: int | None = Field(description="Distance of the moments; null where they were picked.")
    times: list[datetime]
    metrics: dict[str, MetricSeries]


class SeriesResponse(BaseModel):
    """Body of `GET series`."""

    ok: Literal[True] = True
    series: Series
    previous: Series | None = Field(description="The period of the same length before, if it was asked for.")


class MetricDefinition(BaseModel):
    """What a metric is."""

    metric_name: str
    metric_group: str
    tier: Literal["light", "medium", "heavy"]
    unit: str
    precision: int
    direction: str = Field(description="`higher`: more is better.")
    min_samples: int
    formula: str
    formula_version: str
    source: str


class MetricsResponse(BaseModel):
    """Body of `GET metrics` of the control plane."""

    ok: Literal[True] = True
    metrics: list[MetricDefinition]


class Strategy(BaseModel):
    """A strategy of the source."""

    strategy_id: str
    strategy_name: str
    is_enabled: bool
    base_timeframe: str


class StrategiesResponse(BaseModel):
    """Body of `GET strategies`."""

    ok: Literal[True] = True
    strategies: list[Strategy]


class Execution(BaseModel):
    """A fill and what it did to the position, by average cost."""

    executed_at: datetime
    fill_id: str
    order_id: UUID
    strategy_id: str
    account: str
    symbol: str
    side: Literal["buy", "sell"]
    quantity: float
    price: float
    notional: float
    fee: float | None
    position_after: float
    realized_pnl: float = Field(description="Before fees.")
    holding_seconds: float | None = Field(description="Mean age of what was closed; null where nothing was.")


class Decision(BaseModel):
    """A decision of a strategy."""

    decided_at: datetime
    decision_id: UUID
    strategy_id: str
    account: str
    symbol: str
    timeframe: str
    side: str
    status: str
    quantity: float | None
    submitted_at: datetime | None
    reject_class: str
    reject_reason: str
    rationale: str


class Order(BaseModel):
    """What became of an order, or of a decision that was rejected without one."""

    submitted_at: datetime
    order_id: UUID
    decision_id: UUID | None
    strategy_id: str
    account: str
    symbol: str
    kind: Literal["order", "submit", "veto"]
    side: str
    status: str
    submitted_quantity: float | None
    filled_quantity: float | None
    limit_price: float | None
    average_fill_price: float | None
    decision_mid: float | None
    arrival_mid: float | None
    fee: float | None
    decided_at: datetime | None
    ended_at: datetime | None
    expected_adapter: str
    actual_adapter: str


class EquityPoint(BaseModel):
    """Equity of an account as the broker reported it."""

    at: datetime
    account: str
    equity: float | None
    cash: float | None


class ExecutionsResponse(BaseModel):
    """Body of `GET executions`."""

    ok: Literal[True] = True
    executions: list[Execution]
    next: str | None = Field(description="`after` of the next page; null at the end.")


class DecisionsResponse(BaseModel):
    """Body of `GET decisions`."""

    ok: Literal[True] = True
    decisions: list[Decision]
    next: str | None = Field(description="`after` of the next page; null at the end.")


class SummaryRow(BaseModel):
    """The newest metrics of a strategy on an account."""

    strategy_id: str = Field(description="Empty: the whole account.")
    strategy_name: str
    account: str = Field(description="Empty: all accounts.")
    as_of: datetime
    quality: Quality
    active_alerts: int
    metrics: dict[str, float | None]


class SummaryResponse(BaseModel):
    """Body of `GET summary`."""

    ok: Literal[True] = True
    window: Window
    rows: list[SummaryRow]


class ExplainResponse(BaseModel):
    """Body of `GET explain`: one of the lists, by what the metric is made of."""

    ok: Literal[True] = True
    metric: Metric
    definition: MetricDefinition
    executions: list[Execution] | None = None
    orders: list[Order] | None = None
    equity: list[EquityPoint] | None = None
    next: str | None = Field(default=None, description="`after` of the next page; null at the end.")


class Stage(BaseModel):
    """Health of one stage of the pipeline."""

    stage: str
    status: Literal["ok", "late", "failing", "unknown"] = Field(
        description="`late`: `lag_seconds` is more than `allowed_lag_seconds`; `unknown`: it never ran."
    )
    reason: str = Field(
        description="Why: `idle` or `unknown` of a source with status ok; `stale` (it stands still itself),"
        " `upstream_late` (what comes before it does), `silent`, `stalled`, `stopped`, `error` or `never_ran`."
    )
    state: str
    watermark: datetime | None = Field(description="It has processed what the source committed up to here.")
    lag_seconds: float | None
    allowed_lag_seconds: float = Field(description="`max_staleness_seconds`, and for a tier its interval on top.")
    last_success_at: datetime | None
    error: str
    late_seconds_1h: int | None = Field(
        default=None, description="Seconds of the last hour in which it was late. Null of a past moment."
    )
    failing_seconds_1h: int | None = Field(
        default=None, description="Seconds of the last hour in which it failed. Null of a past moment."
    )
    quarantined_rows: int | None = Field(
        default=None,
        description="Rows of the source that it could not use in full, ever. Null of a past moment.",
    )


class HealthResponse(BaseModel):
    """Body of `GET health`."""

    ok: Literal[True] = True
    status: Literal["ok", "degraded", "down", "disabled"]
    as_of: datetime
    max_staleness_seconds: int
    stages: list[Stage]


class Readiness(BaseModel):
    """Body of `GET readyz`."""

    ok: Literal[True] = True
    has_facts: bool = Field(description="False while the source has nothing from which a frame could be computed.")
    frame_age_seconds: float | None = Field(description="Age of the newest frame; null where there is none.")


class Session(BaseModel):
    """Body of `GET session`."""

    ok: Literal[True] = True
    authentication: bool = Field(description="Whether one has to say who one is.")
    name: str
    scopes: list[Literal["read", "operate"]]


class ActionResponse(BaseModel):
    """Body of what acknowledges, silences, or ends a silence."""

    ok: Literal[True] = True
    action_id: str = Field(description="Of a silence: its `silence_id`.")
    acted_at: datetime
    actor: str
    action: Literal["acknowledge", "silence", "unsilence"]


class Silence(BaseModel):
    """Alerts that nobody is told about; what is empty stands for any."""

    silence_id: str
    alert_id: str
    policy_id: str
    strategy_id: str
    account: str
    silenced_until: datetime
    silenced_by: str
    silenced_at: datetime
    reason: str


class SilencesResponse(BaseModel):
    """Body of `GET silences`."""

    ok: Literal[True] = True
    silences: list[Silence]
