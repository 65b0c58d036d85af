select
    symbol,
    event_ts as quoted_at,
    seq as sequence,
    imbalance_bid_px as bid,
    imbalance_ask_px as ask,
    (imbalance_bid_px + imbalance_ask_px) / 2 as mid,
    ingest_ts as ingested_at
from {{ source('torghut', 'ta_signals') }}
where imbalance_bid_px > 0 and imbalance_ask_px >= imbalance_bid_px
