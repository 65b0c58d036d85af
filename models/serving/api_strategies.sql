{{ config(contract={"enforced": true}) }}
select
    toString(strategy_id) as strategy_id,
    strategy_name,
    toUInt8(is_enabled) as is_enabled,
    base_timeframe,
    created_at
from {{ ref("stg_torghut__strategies") }}
union all
select 'unattributed', 'unattributed', 1, '', toDateTime64(0, 6, 'UTC')
