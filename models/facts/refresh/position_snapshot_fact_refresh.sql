{{ config(refreshable=after(["position_ledger_refresh"])) }}
{{ materialization_target_table(ref("position_snapshot_fact")) }}
{%- set content -%}
snapshot_id, account, snapshot_at, equity, cash, buying_power, position_symbols, position_quantities, position_values,
position_prices, position_entry_prices, trading_ms, is_deleted
{%- endset %}
-- depends_on: {{ ref("position_ledger_refresh") }}
-- depends_on: {{ ref("account_settings") }}
with
    snapshots as (
        select *, {{ calendar_of("account") }} as calendar
        from {{ ref("stg_torghut__position_snapshots") }}
        where {{ newly_applied(ref("position_snapshot_fact")) }}
    ),
    valued as (
        select
            snapshot_id,
            account,
            snapshot_at,
            equity,
            cash,
            buying_power,
            position_symbols,
            position_quantities,
            position_values,
            position_prices,
            position_entry_prices,
            toDecimal128(
                arraySum(arrayMap(value -> abs(ifNull(value, 0)), position_values)), 12
            ) as gross_value,
            toDecimal128(
                arraySum(arrayMap(value -> ifNull(value, 0), position_values)), 12
            ) as net_value,
            toUInt32(
                arrayCount(
                    (value, quantity) -> value is null and ifNull(quantity, 1) != 0,
                    position_values,
                    position_quantities
                )
            ) as unpriced_positions,
            {{ trading_ms("snapshot_at", "opens_at", "closes_at", "ms_before") }}
            as trading_ms,
            is_deleted,
            applied
        from snapshots
        asof left join
            {{ ref("trading_session") }} as session
            on snapshots.calendar = session.calendar
            and toDateTime64(snapshots.snapshot_at, 3, 'UTC') >= session.opens_at
    ),
    -- What stands of the same snapshots.
    former as (
        select *
        from {{ ref("position_snapshot_fact") }}
        where snapshot_id in (select snapshot_id from snapshots) and is_deleted = 0
    )
select *
from
    (
        -- A snapshot that is sent again as it is was known before.
        select
            valued.* except (content),
            if(known.known_from = 0, valued.applied, known.known_from) as known_from
        from (select *, toString(({{ content }})) as content from valued) as valued
        left join
            (
                select
                    toString(({{ content }})) as content, min(known_from) as known_from
                from former
                group by content
            ) as known
            on valued.content = known.content
        union all
        -- The removal of a snapshot from the account and moment that it no longer has.
        select
            former.* except (is_deleted, applied, known_from),
            1 as is_deleted,
            snapshots.applied as applied,
            former.known_from as known_from
        from former
        inner join snapshots on former.snapshot_id = snapshots.snapshot_id
        where
            (former.account, former.snapshot_at)
            != (snapshots.account, snapshots.snapshot_at)
    )
-- In the order of arrival: the newest row is the cursor, also of a refresh that was
-- killed in the middle.
order by applied {{ refresh_settings() }}
