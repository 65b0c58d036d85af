{%- set columns -%}
fill_id, order_id, broker_order_id, decision_id, strategy_id, account, symbol, side, executed_at, sequence,
quantity, price, notional, fee, fill_source
{%- endset %}
{%- set changed_orders -%}
(select broker_order_id from {{ to_do(ref("changed_order")) }})
{%- endset %}
with
    {{ fill_cursor() }} as batches_done,
    {{ newest_batch(ref("changed_order")) }} as newest_batch,
    orders as (
        select
            version.order_id as order_id,
            any(version.broker_order_id) as broker_order_id,
            argMax(
                tuple(version.decision_id), version.source_version
            ) .1 as decision_id,
            argMax(
                ifNull(version.account, ''), version.source_version
            ) as order_account,
            argMax(version.symbol, version.source_version) as symbol,
            argMax(version.side, version.source_version) as side,
            argMax(
                ifNull(version.filled_quantity, 0), version.source_version
            ) as order_quantity,
            argMax(tuple(version.fee), version.source_version) .1 as order_fee,
            argMax(version.is_deleted, version.source_version) as order_is_deleted,
            max(version.applied) as order_applied,
            groupArrayIf(
                (
                    assumeNotNull(version.filled_quantity),
                    assumeNotNull(
                        toDecimal128(
                            version.filled_quantity * version.average_fill_price, 12
                        )
                    ),
                    coalesce(
                        version.filled_at, version.last_update_at, version.updated_at
                    ),
                    ifNull(version.sequence, 0),
                    toDecimal128(0, 9),
                    toDecimal128(0, 12),
                    version.source_version
                ),
                version.is_deleted = 0
                and version.filled_quantity > 0
                and version.average_fill_price > 0
            ) as versions
        from {{ ref("execution_version_fact") }} as version final
        where version.broker_order_id in {{ changed_orders }}
        group by version.order_id
    ),
    decisions as (
        select decision_id, strategy_id, account, applied
        from {{ ref("decision_fact") }} final
        where
            decision_id in (
                select assumeNotNull(decision_id)
                from {{ to_do(ref("changed_order")) }}
                where decision_id is not null
            )
    ),
    events as (
        select
            order_key,
            arraySort(
                groupArray(
                    (
                        event.event_at,
                        ifNull(event.sequence, 0),
                        ifNull(toString(event.order_id), ''),
                        ifNull(event.account, ''),
                        ifNull(event.cumulative_quantity, 0),
                        ifNull(event.average_fill_price, 0),
                        ifNull(event.quantity, 0),
                        ifNull(
                            coalesce(
                                event.notional,
                                toDecimal128(event.quantity * event.price, 12)
                            ),
                            0
                        )
                    )
                )
            ) as feed
        from {{ ref("order_event_fact") }} as event final
        where
            order_key in {{ changed_orders }}
            and event.event_type in ('fill', 'partial_fill')
        group by order_key
    ),
    attributed as (
        select
            orders.* except (decision_id),
            orders.decision_id as decision_id,
            if(
                decisions.strategy_id = '',
                'unattributed',
                toString(decisions.strategy_id)
            ) as strategy_id,
            multiIf(
                order_account != '',
                order_account,
                decisions.account != '',
                toString(decisions.account),
                'unknown'
            ) as account,
            greatest(order_applied, decisions.applied) as applied,
            -- Events that the source linked to this order, or not yet linked and of
            -- the same account.
            arrayFilter(
                event -> if(
                    event .3 != '',
                    event .3 = toString(orders.order_id),
                    event .4 in ('', account)
                ),
                events.feed
            ) as feed,
            arrayCumSum(arrayMap(event -> event .7, feed)) as running_quantities,
            arrayCumSum(arrayMap(event -> event .8, feed)) as running_notionals
        from orders
        left join decisions on orders.decision_id = decisions.decision_id
        left join events on orders.broker_order_id = events.order_key
        where order_is_deleted = 0 and side in ('buy', 'sell')
    ),
    -- What is known of an order's cumulative fills, from its versions and from its
    -- events:
    -- (quantity, notional, time, sequence, quantity of this fill, notional of this
    -- fill, order of arrival).
    evidence as (
        select
            * except (versions, feed, running_quantities, running_notionals),
            arrayJoin(
                arrayConcat(
                    arrayMap(version -> ('history', version), versions),
                    arrayMap(
                        (event, running_quantity, running_notional, position) -> (
                            'event',
                            (
                                if(
                                    event .5 > 0,
                                    event .5,
                                    toDecimal128(running_quantity, 9)
                                ),
                                if(
                                    event .5 > 0 and event .6 > 0,
                                    toDecimal128(event .5 * event .6, 12),
                                    toDecimal128(running_notional, 12)
                                ),
                                event .1,
                                event .2,
                                event .7,
                                event .8,
                                toUInt64(position)
                            )
                        ),
                        feed,
                        running_quantities,
                        running_notionals,
                        arrayEnumerate(feed)
                    )
                )
            ) as item,
            item .1 as source,
            item .2 as known
        from attributed
    ),
    -- The same cumulative quantity seen again is the same fill: its time is the first
    -- seen, its price the last.
    steps as (
        select
            order_id,
            source,
            known .1 as total_quantity,
            any(evidence.broker_order_id) as broker_order_id,
            any(evidence.decision_id) as decision_id,
            any(evidence.strategy_id) as strategy_id,
            any(evidence.account) as account,
            any(evidence.symbol) as symbol,
            any(evidence.side) as side,
            any(evidence.order_quantity) as order_quantity,
            any(evidence.order_fee) as order_fee,
            any(evidence.applied) as applied,
            argMax(known .2, known .7) as total_notional,
            min(known .3) as executed_at,
            argMin(known .4, known .7) as sequence,
            argMax(known .5, known .7) as exact_quantity,
            argMax(known .6, known .7) as exact_notional,
            max(known .7) as last_arrival
        from evidence
        where known .1 > 0 and known .2 > 0
        group by order_id, source, total_quantity
    ),
    -- A quantity that a later correction took back never was a fill.
    standing as (
        select
            *,
            min(total_quantity) over later as later_quantity,
            count() over later as later_count
        from steps
        window
            later as (
                partition by order_id, source
                order by last_arrival desc
                rows between unbounded preceding and 1 preceding
            )
    ),
    increments as (
        select
            *,
            row_number() over step as number,
            total_quantity - lagInFrame(total_quantity) over step as quantity_change,
            total_notional - lagInFrame(total_notional) over step as notional_change
        from standing
        where later_count = 0 or total_quantity < later_quantity
        window
            step as (
                partition by order_id, source
                order by total_quantity
                rows between unbounded preceding and current row
            )
    ),
    judged as (
        select
            *,
            max(number) over path as step_count,
            max(total_quantity) over path as path_quantity,
            -- Prices that contradict each other: only the total stands.
            min(notional_change) over path <= 0 as is_contradictory,
            max(if(source = 'event', total_quantity, 0)) over whole as event_quantity,
            countIf(source = 'history') over whole as history_count
        from increments
        window path as (partition by order_id, source), whole as (partition by order_id)
    ),
    fills as (
        select
            concat(
                toString(order_id), '/', leftPad(toString(number), 6, '0')
            ) as fill_id,
            order_id,
            broker_order_id,
            decision_id,
            strategy_id,
            account,
            symbol,
            side,
            executed_at,
            sequence,
            toDecimal128(
                if(is_contradictory, total_quantity, quantity_change), 9
            ) as quantity,
            toDecimal128(
                multiIf(
                    is_contradictory,
                    total_notional,
                    exact_quantity = quantity and exact_notional > 0,
                    exact_notional,
                    notional_change
                ),
                12
            ) as notional,
            {{ from_units(share_of_units(units("notional"), "1000000000", units("quantity")), 12) }}
            as price,
            if(
                order_fee is null,
                null,
                {{
                    from_units(
                        share_of_units(units("assumeNotNull(order_fee)"), units("quantity"), units("path_quantity")), 12
                    )
                }}
            ) as fee,
            multiIf(
                source = 'event',
                'event',
                step_count > 1 and not is_contradictory,
                'history',
                'order'
            ) as fill_source,
            applied
        from judged
        where
            source = if(
                event_quantity >= order_quantity or history_count = 0,
                'event',
                'history'
            )
            and (not is_contradictory or number = step_count)
    ),
    -- Rows that are in both are unchanged and not written again: a mass update at the
    -- source moves no cursor behind.
    differences as (
        select {{ columns }}, applied, is_stored as is_deleted
        from
            (
                -- Counting over a window plans in half the time of grouping by as
                -- many columns.
                select *, count() over (partition by {{ columns }}) as occurrences
                from
                    (
                        select {{ columns }}, applied, toUInt8(0) as is_stored
                        from fills
                        union all
                        select {{ columns }}, applied, toUInt8(1) as is_stored
                        from {{ ref("trade_execution_fact") }} final
                        where broker_order_id in {{ changed_orders }}
                    )
            )
        where occurrences = 1
        union all
        select
            'cursor' as fill_id,
            toUUIDOrZero('') as order_id,
            '' as broker_order_id,
            null as decision_id,
            '' as strategy_id,
            '' as account,
            '' as symbol,
            '' as side,
            toDateTime64(0, 6, 'UTC') as executed_at,
            toUInt64(0) as sequence,
            toDecimal128(0, 9) as quantity,
            toDecimal128(0, 12) as price,
            toDecimal128(0, 12) as notional,
            null as fee,
            '' as fill_source,
            newest_batch as applied,
            toUInt8(1) as is_deleted
        from system.one
        where newest_batch > batches_done
    )
select
    *,
    -- The clock in milliseconds, forced to grow, and one bit by which a standing row
    -- wins over the removal of its
    -- former version under the same key.
    2 * greatest(
        toUInt64(toUnixTimestamp64Milli(now64(3))),
        1 + intDiv(
            (
                select max(revision)
                from {{ ref("trade_execution_fact") }}
                where account = ''
            ),
            2
        )
    )
    + (1 - is_deleted) as revision
from differences
