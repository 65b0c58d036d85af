select
    id as strategy_id,
    name as strategy_name,
    enabled as is_enabled,
    base_timeframe,
    created_at,
    updated_at
from {{ source('torghut_raw', 'strategies') }} final
-- A foreign feed marks what was deleted, and keeps it.
where _deleted = 0
