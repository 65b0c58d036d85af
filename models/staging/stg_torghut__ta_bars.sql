select
    symbol,
    event_ts as bar_at,
    coalesce(window_end, event_ts) as closed_at,
    seq as sequence,
    c as close
from {{ source('torghut', 'ta_microbars') }}
where c > 0
