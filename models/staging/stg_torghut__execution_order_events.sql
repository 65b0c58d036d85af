select
    id as event_id,
    coalesce(alpaca_order_id, client_order_id, '') as order_key,
    execution_id as order_id,
    alpaca_account_label as account,
    lower(ifNull(event_type, '')) as event_type,
    lower(ifNull(status, '')) as status,
    coalesce(event_ts, created_at) as event_at,
    accurateCastOrNull(feed_seq, 'UInt64') as sequence,
    {{ decimal_or_null('filled_qty') }} as cumulative_quantity,
    {{ decimal_or_null('avg_fill_price', 12) }} as average_fill_price,
    coalesce(
        {{ decimal_or_null('filled_qty_delta') }},
        {{ decimal_or_null(json_scalar('raw_event', "'payload', 'qty'")) }},
        {{ decimal_or_null(json_scalar('raw_event', "'data', 'qty'")) }}
    ) as quantity,
    coalesce(
        {{ decimal_or_null(json_scalar('raw_event', "'payload', 'price'"), 12) }},
        {{ decimal_or_null(json_scalar('raw_event', "'data', 'price'"), 12) }}
    ) as price,
    {{ decimal_or_null('filled_notional_delta', 12) }} as notional,
    _version as source_version,
    _deleted as is_deleted,
    _applied as applied
from {{ source('torghut_raw', 'execution_order_events') }}
