select calendar,
window
    ,
    edge,
    edge_at as window_start,
    {{ as_of() }} as window_end,
    trading_ms as trading_start_ms,
    max(trading_ms) over (partition by calendar) as trading_end_ms,
    is_open
from {{ at_as_of("calendar_edge") }}
qualify edge > 0
