{# One row per scope and window with everything that the formulas need, at the moment of the edges. #}
{% macro metric_inputs() %}
    with
        bases as (
            {% if is_live() %}{{ stage_rows("live_scope") }}
            {% else %}{{ scope_bases() }}
            {% endif %}
        ),
        positions as (
            {% if is_live() %}{{ stage_rows("live_position") }}
            {% else %}{{ scope_positions() }}
            {% endif %}
        ),
        flows as (
            {% if is_live() %}{{ stage_rows("live_flow") }}
            {% else %}{{ scope_flows() }}
            {% endif %}
        )
    select
        {{ as_of() }} as window_end,
        bases.strategy_id as strategy_id,
        bases.account as account,
        bases.edge as edge,
        bases.window as
    window
        ,
        bases.window_start as window_start,
        bases.is_open as is_open,
        bases.calendars as calendars,
        bases.accounts as accounts,
        bases.strategies as strategies,
        bases.accounts_with_snapshots as accounts_with_snapshots,
        bases.last_snapshot_at as last_snapshot_at,
        bases.step_ms as step_ms,
        bases.window_ms as window_ms,
        bases.points as points,
        bases.known_points as known_points,
        bases.is_start_known as is_start_known,
        bases.is_end_known as is_end_known,
        bases.start_equity as start_equity,
        bases.end_equity as end_equity,
        bases.minimum_equity as minimum_equity,
        bases.max_drawdown as max_drawdown,
        bases.trough_at as trough_at,
        bases.snapshot_gross as snapshot_gross,
        bases.snapshot_net as snapshot_net,
        bases.snapshot_unpriced as snapshot_unpriced,
        bases.is_snapshot_stale as is_snapshot_stale,
        flows.last_fill_at as last_fill_at,
        flows.fills as fills,
        flows.realized_pnl as realized_pnl,
        flows.fees as fees,
        flows.notional as notional,
        flows.feeless_notional as feeless_notional,
        positions.end_unrealized_pnl as end_unrealized_pnl,
        positions.start_unrealized_pnl as start_unrealized_pnl,
        positions.open_positions as open_positions,
        positions.gross_value as gross_value,
        positions.net_value as net_value,
        positions.end_unpriced as end_unpriced,
        positions.start_unpriced as start_unpriced,
        positions.mark_sources as mark_sources,
        flows.trades as trades,
        flows.wins as wins,
        flows.losses as losses,
        flows.last_trade_at as last_trade_at
    from bases
    left join
        positions
        on bases.strategy_id = positions.strategy_id
        and bases.account = positions.account
        and bases.edge = positions.window_edge
    left join
        flows
        on bases.strategy_id = flows.strategy_id
        and bases.account = flows.account
        and bases.edge = flows.window_edge
{% endmacro %}

{# Rows (strategy_id, account, edge): the scopes that anything had happened in by then, with the equity of their accounts
   over every window. #}
{% macro scope_bases() %}
    with
        -- Scopes with their accounts, from everything that happened by then.
        members as (
            select
                scope .1 as strategy_id,
                scope .2 as account,
                member,
                max(strategies) as member_strategies
            from
                (
                    select
                        toString(account) as member,
                        toString(strategy_id) as strategy,
                        sum(max(evidence = 'fill')) over (
                            partition by member
                        ) as strategies,
                        arrayJoin(
                            arrayDistinct({{ scopes("strategy", "member") }})
                        ) as scope
                    from {{ ref("scope_evidence") }}
                    where first_at <= {{ as_of() }}
                    group by member, strategy
                )
            group by strategy_id, account, member
        )
    select
        members.strategy_id as strategy_id,
        members.account as account,
        bound.edge as edge,
        any(bound.window) as
    window
        ,
        min(bound.edge_at) as window_start,
        max(bound.is_open) as is_open,
        groupUniqArray(bound.calendar) as calendars,
        count() as accounts,
        max(members.member_strategies) as strategies,
        countIf(equity.points > 0) as accounts_with_snapshots,
        max(equity.last_snapshot_at) as last_snapshot_at,
        any(equity.step_ms) as step_ms,
        any(equity.window_ms) as window_ms,
        sum(equity.points) as points,
        sum(equity.known_points) as known_points,
        min(equity.is_start_known) as is_start_known,
        min(equity.is_end_known) as is_end_known,
        any(equity.start_equity) as start_equity,
        sum(equity.end_equity) as end_equity,
        min(equity.minimum_equity) as minimum_equity,
        any(equity.max_drawdown) as max_drawdown,
        any(equity.trough_at) as trough_at,
        sum(equity.gross_value) as snapshot_gross,
        sum(equity.net_value) as snapshot_net,
        sum(equity.unpriced_positions) as snapshot_unpriced,
        max(equity.end_age_ms > 2 * greatest(equity.gap_ms, 30000)) as is_snapshot_stale
    from members
    inner join ({{ edge_rows() }}) as bound on members.member = bound.account
    left join
        ({{ equity_rows() }}) as equity
        on members.member = equity.account
        and bound.edge = equity.edge
    where bound.edge > 0
    group by strategy_id, account, edge
{% endmacro %}
