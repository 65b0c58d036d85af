select symbol, event_ts as signal_at, ingest_ts as ingested_at
from {{ source('torghut', 'ta_signals') }}
