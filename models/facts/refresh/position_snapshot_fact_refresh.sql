{{ config(refreshable=after(["position_ledger_refresh"])) }}
{{ materialization_target_table(ref("position_snapshot_fact")) }}
{%- set content -%}
account, snapshot_at, equity, cash, buying_power, position_symbols, position_quantities, position_values,
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
    -- What is there of the same snapshots: where they stood, and what they said.
    former as (
        select
            snapshot_id,
            groupUniqArray((account, snapshot_at)) as places,
            groupArray((toString(({{ content }})), known_from)) as contents
        from {{ ref("position_snapshot_fact") }}
        where snapshot_id in (select snapshot_id from snapshots) and is_deleted = 0
        group by snapshot_id
    )
select
    * except (content, known, place),
    place .1 as account,
    place .2 as snapshot_at,
    place .3 as is_deleted
from
    (
        select
            valued.* except (account, snapshot_at, is_deleted),
            toString(({{ content }})) as content,
            -- A snapshot that is sent again as it is was known before.
            arrayFilter(said -> said .1 = content, former.contents) as known,
            if(
                empty(known), applied, arrayMin(arrayMap(said -> said .2, known))
            ) as known_from,
            -- And the removal of a snapshot from the account and moment that it no
            -- longer has.
            arrayJoin(
                arrayConcat(
                    [(valued.account, valued.snapshot_at, valued.is_deleted)],
                    arrayMap(
                        one -> (one .1, one .2, 1),
                        arrayFilter(
                            one -> one != (valued.account, valued.snapshot_at),
                            former.places
                        )
                    )
                )
            ) as place
        from valued
        left join former on valued.snapshot_id = former.snapshot_id
    )
-- In the order of arrival: the newest row is the cursor, also of a refresh that was
-- killed in the middle.
order by applied {{ refresh_settings() }}
