{{ config(materialized="view") }}
select
    cast(symbol as String) as symbol,
    event_ts as signal_at,
    seq as sequence,
    macd,
    macd_signal,
    rsi14,
    vol_realized_w60s as realized_volatility_60s,
    imbalance_bid_px as bid,
    imbalance_ask_px as ask,
    ingest_ts as ingested_at
from {{ source("torghut", "ta_signals") }} final
