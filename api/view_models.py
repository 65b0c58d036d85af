"""The bodies of what dashboards ask for beside frames and series."""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from api.models import Window

Dimension = Literal["symbol", "side", "hour", "route", "time"]


class Trend(BaseModel):
    """Profit of a strategy on an account over time, or the account's equity."""

    strategy_id: str = Field(description="Empty: the whole account, whose equity it is.")
    account: str
    values: list[float | None] = Field(description="Null before anything is known.")


class TrendsResponse(BaseModel):
    """Body of `GET trends`."""

    ok: Literal[True] = True
    step_seconds: int
    times: list[datetime]
    trends: list[Trend]


class EquityCurveResponse(BaseModel):
    """Body of `GET equity`: columns of the same length."""

    ok: Literal[True] = True
    strategy_id: str = Field(description="Empty: the whole account.")
    account: str = Field(description="Empty: all accounts.")
    step_seconds: int
    benchmark: str = Field(description="Empty where the accounts have several.")
    times: list[datetime]
    equity: list[float]
    pnl: list[float] = Field(
        description="Gain since the first moment beyond flows; of a strategy its profit after fees."
    )
    cumulative_return: list[float]
    drawdown: list[float] = Field(description="Against the highest wealth since the first moment; never above 0.")
    benchmark_return: list[float | None]


class Position(BaseModel):
    """An open position, by the ledger."""

    strategy_id: str
    strategy_name: str
    account: str
    symbol: str
    quantity: float = Field(description="Negative when short.")
    average_cost: float
    mark_price: float | None
    mark_source: Literal["mid", "bar", "snapshot", "trade", ""]
    market_value: float | None = Field(description="Negative when short; null without a price.")
    unrealized_pnl: float | None


class PositionsResponse(BaseModel):
    """Body of `GET positions`."""

    ok: Literal[True] = True
    as_of: datetime
    positions: list[Position] = Field(description="The largest first.")


class Costs(BaseModel):
    """What a group of orders came to; ratios as the metrics of those names."""

    name: str = Field(description="Symbol, side, hour (UTC), route or begin of a bucket; empty: all of them.")
    orders: int = Field(description="Orders that ended.")
    rejected: int
    canceled: int
    vetoes: int = Field(description="Decisions rejected before the submission.")
    fills: int
    notional: float
    fill_ratio: float | None
    reject_rate: float | None
    cancel_rate: float | None
    slippage_bps: float | None
    slippage_cost: float
    shortfall_bps: float | None
    shortfall_cost: float
    delay_cost: float
    trading_cost: float
    opportunity_cost: float
    fees: float
    submit_ms_p50: float | None
    submit_ms_p95: float | None
    fill_ms_p50: float | None
    fill_ms_p95: float | None


class Distribution(BaseModel):
    """A histogram of orders by cost, in even steps from `low` on; what is beyond counts in the outermost."""

    kind: Literal["slippage", "shortfall"]
    orders: int
    low: float = Field(description="Basis points.")
    bin_width: float
    counts: list[int]
    p5: float
    p50: float
    p95: float


class RejectReason(BaseModel):
    """How often something was rejected for one reason."""

    kind: Literal["decision", "submit", "order"]
    reject_class: str
    reason: str
    rejects: int
    last_at: datetime


class CostsResponse(BaseModel):
    """Body of `GET costs`."""

    ok: Literal[True] = True
    bucket_seconds: int
    total: Costs | None = Field(description="Null without any order.")
    by: dict[Dimension, list[Costs]]
    distributions: list[Distribution]
    rejects: list[RejectReason] = Field(description="The most frequent first, at most 50.")


class Mirror(BaseModel):
    """A mirror that feeds the warehouse, or waits to take over."""

    slot: str
    state: str
    detail: str
    lag_bytes: int
    watermark: datetime | None
    reported_at: datetime
    lossy_values: int


class SymbolFeed(BaseModel):
    """When the technical-analysis pipeline last wrote of an instrument."""

    symbol: str
    last_signal_at: datetime
    age_seconds: float


class AccountState(BaseModel):
    """An account and when anything last happened on it."""

    account: str
    calendar: str
    last_event_at: datetime


class TickMinute(BaseModel):
    """The ticks of the light tier in a minute."""

    minute_at: datetime
    ticks: int
    due_ticks: float
    dropped_ticks: float
    longest_pause_seconds: float


class PipelineResponse(BaseModel):
    """Body of `GET pipeline`."""

    ok: Literal[True] = True
    mirrors: list[Mirror]
    feeds: list[SymbolFeed] = Field(description="The oldest first.")
    accounts: list[AccountState]
    ticks: list[TickMinute] = Field(description="Full minutes of the last hour.")
    dagster_url: str = Field(description="Where its pages are.")


class Reconciliation(BaseModel):
    """A day of an account: its gain beside what flows and strategies explain."""

    account: str
    day: date
    points: int
    unknown_points: int
    flow: float
    strategies_pnl: float | None = Field(description="Null where it is known at no point of the day.")
    residual: float | None = Field(description="Null likewise.")
    residual_bps: float | None
    equity: float


class ReconciliationResponse(BaseModel):
    """Body of `GET reconciliation`."""

    ok: Literal[True] = True
    days: list[Reconciliation] = Field(description="The last first.")


class Policy(BaseModel):
    """A policy by which alerts open and end."""

    policy_id: str
    subject: Literal["metric", "health"]
    signal: str
    strategy: str
    account: str
    window: Window | Literal["any"]
    comparison: Literal["above", "below", "abs_above", "abs_below"]
    threshold: float
    clear_threshold: float
    severity: Literal["critical", "warning", "info"]
    category: Literal["strategy", "data"]
    runbook: str
    description: str


class PoliciesResponse(BaseModel):
    """Body of `GET policies`."""

    ok: Literal[True] = True
    policies: list[Policy]
