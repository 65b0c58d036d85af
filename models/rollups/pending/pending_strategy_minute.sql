{{ config(meta={"stage_before": "grid_edge"}) }}
-- depends_on: {{ ref("strategy_minute") }}
-- depends_on: {{ ref("grid_edge") }}
-- depends_on: {{ ref("snapshot_day") }}
-- depends_on: {{ ref("account_settings") }}
{%- set sums = ["fills", "realized_pnl", "fees", "feeless_notional"] -%}
{%- set events -%}
select *, {{ calendar_of("account") }} as calendar, executed_at as at
from {{ ref("position_ledger") }} final
where
    toStartOfHour(executed_at) >= (select toStartOfHour(min(quotes_from)) from batch)
    and toStartOfHour(executed_at) <= (select toStartOfHour(max(edge_at)) from batch)
    and executed_at > (select min(quotes_from) from batch)
    and executed_at <= (select max(edge_at) from batch)
    and account in (select account from batch)
{%- endset %}
with
    batch as (
        select *, toDateTime(edge_at, 'UTC') as point_at from ({{ edge_rows() }})
    ),
    -- Before what follows was read, so that what comes in beside it is not forgotten.
    (
        select max(revision) + 1
        from {{ ref("position_ledger") }}
        where toStartOfHour(executed_at) = toDateTime(0, 'UTC') and account = ''
    ) as ledger_revision,
    parts as (
        select
            toString(account) as account,
            toString(strategy_id) as strategy_id,
            toDateTime(grid_at, 'UTC') as grid_at,
            {{ fill_sums() }},
            0 as unrealized_pnl,
            0 as open_positions,
            0 as unpriced_positions,
            true as is_current
        from ({{ on_grid(events, grid_begins()) }}) as ledger
        where (account, grid_at) in (select account, point_at from batch)
        group by account, strategy_id, grid_at
        union all
        select
            toString(valued.account) as account,
            toString(valued.strategy_id) as strategy_id,
            batch.point_at as grid_at,
            0 as fills,
            0 as realized_pnl,
            0 as fees,
            0 as notional,
            0 as feeless_notional,
            0 as round_trips,
            sum(
                toDecimal128(valued.quantity * valued.mark .2, 12)
                - sign(valued.quantity) * valued.open_cost
            ) as unrealized_pnl,
            count() as open_positions,
            countIf(valued.mark .1 = '') as unpriced_positions,
            true as is_current
        from ({{ position_values() }}) as valued
        inner join batch on valued.account = batch.account and valued.edge = batch.edge
        group by account, strategy_id, grid_at
        union all
        -- What is there and may be gone.
        select
            toString(account) as account,
            toString(strategy_id) as strategy_id,
            grid_at,
            0 as fills,
            0 as realized_pnl,
            0 as fees,
            0 as notional,
            0 as feeless_notional,
            0 as round_trips,
            0 as unrealized_pnl,
            0 as open_positions,
            0 as unpriced_positions,
            false as is_current
        from {{ ref("strategy_minute") }} final
        where (account, grid_at) in (select account, point_at from batch)
    )
select
    account,
    strategy_id,
    grid_at,
    {%- for sum in sums %} {{ sum }}, {%- endfor %}
    unrealized_pnl,
    open_positions,
    unpriced_positions,
    known_until,
    ledger_revision,
    is_deleted,
    toUInt64(toUnixTimestamp64Milli({{ as_of() }})) as revision
from
    (
        select
            account,
            strategy_id,
            grid_at,
            {%- for sum in sums %} sum(parts.{{ sum }}) as {{ sum }}, {%- endfor %}
            sum(parts.unrealized_pnl) as unrealized_pnl,
            sum(parts.open_positions) as open_positions,
            sum(parts.unpriced_positions) as unpriced_positions,
            grid_at as known_until,
            1 - max(is_current) as is_deleted
        from parts
        group by account, strategy_id, grid_at
        union all
        -- The cursor of each account, in a row that no reader takes for a point.
        select
            account,
            '' as strategy_id,
            toDateTime(0, 'UTC') as grid_at,
            {%- for sum in sums %} 0 as {{ sum }}, {%- endfor %}
            0 as unrealized_pnl,
            0 as open_positions,
            0 as unpriced_positions,
            max(point_at) as known_until,
            0 as is_deleted
        from batch
        group by account
    )
