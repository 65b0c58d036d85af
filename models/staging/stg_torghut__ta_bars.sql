select
    symbol,
    event_ts as bar_at,
    coalesce(window_end, event_ts) as closed_at,
    seq as sequence,
    c as close,
    ingest_ts as ingested_at
from {{ source('torghut', 'ta_microbars') }}
where c > 0
