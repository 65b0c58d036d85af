{{ config(materialized="view", contract={"enforced": false}) }}
{%- set flows -%}
select
    flow.account as account,
    {{ calendar_of("flow.account") }} as calendar,
    toDateTime64(flow.flowed_at, 6, 'UTC') as at,
    toDecimal128(flow.amount, 12) as amount
from {{ ref("cash_flows") }} as flow
{%- endset %}
-- depends_on: {{ ref("account_settings") }}
with
    -- What the strategies made on the account until each point, marked to market.
    strategies as (
        select
            account,
            grid_at,
            sum(realized_pnl - fees) as net_realized,
            sum(strategy_minute.unrealized_pnl) as unrealized,
            sum(strategy_minute.unpriced_positions) as unpriced
        from {{ ref("strategy_minute") }} as strategy_minute final
        where strategy_id != ''
        group by account, grid_at
    ),
    -- Accounts on which strategies traded, with the last point at which they are
    -- valued.
    computed as (
        select head.account as account, max(strategy_minute.known_until) as known_until
        from {{ ref("ledger_head") }} as head
        left join
            (
                select account, known_until
                from {{ ref("strategy_minute") }} final
                where strategy_id = ''
            ) as strategy_minute using (account)
        where account != ''
        group by account
    ),
    steps as (
        select
            account,
            toDateTime(grid_at, 'UTC') as grid_at,
            any(equity) as equity,
            any(cash) as cash,
            any(snapshot_at) as snapshot_at,
            sum(flow) as flow,
            sum(net_realized) as net_realized,
            sum(unrealized) as unrealized,
            sum(unpriced) as unpriced
        from
            (
                select
                    account,
                    grid_at,
                    toNullable(equity) as equity,
                    cash,
                    toNullable(snapshot_at) as snapshot_at,
                    0 as flow,
                    0 as net_realized,
                    0 as unrealized,
                    0 as unpriced
                from {{ ref("equity_minute") }} final
                where account != ''
                union all
                select
                    account,
                    grid_at,
                    null,
                    null,
                    null,
                    0,
                    net_realized,
                    unrealized,
                    unpriced
                from strategies
                union all
                select account, grid_at, null, null, null, amount, 0, 0, 0
                from ({{ on_grid(flows) }})
            )
        group by account, grid_at
    ),
    sums as (
        select
            *,
            sum(flow) over so_far as flow_so_far,
            sum(net_realized) over so_far as net_so_far
        from steps
        window
            so_far as (
                partition by account
                order by grid_at
                rows between unbounded preceding and current row
            )
    ),
    known as (
        select
            sums.*,
            computed.account != '' and grid_at > computed.known_until as is_unvalued,
            row_number() over arrival as number,
            lagInFrame(equity) over arrival as equity_before,
            lagInFrame(flow_so_far) over arrival as flow_before,
            lagInFrame(net_so_far + unrealized) over arrival as pnl_before,
            lagInFrame(unpriced) over arrival as unpriced_before
        from sums
        left join computed using (account)
        where equity is not null
        window
            arrival as (
                partition by account
                order by grid_at
                rows between unbounded preceding and current row
            )
    )
select
    account,
    grid_at,
    equity,
    cash,
    snapshot_at,
    flow_so_far - flow_before as flow,
    if(
        number = 1 or unpriced > 0 or unpriced_before > 0 or is_unvalued,
        null,
        net_so_far + unrealized - pnl_before
    ) as strategies_pnl,
    -- What the account gained and no strategy accounts for.
    if(number = 1, null, equity - equity_before - flow) - strategies_pnl as residual
from known
