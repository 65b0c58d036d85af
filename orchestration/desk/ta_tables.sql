-- The tables of the TA pipeline, for a warehouse in which nobody else writes them.
create database if not exists torghut;

create table if not exists torghut.ta_microbars (
    symbol LowCardinality(String),
    event_ts DateTime64(3, 'UTC'),
    seq UInt64,
    ingest_ts DateTime64(3, 'UTC'),
    is_final UInt8,
    source LowCardinality(String),
    window_size LowCardinality(String),
    window_step Nullable(String),
    window_start Nullable(DateTime64(3, 'UTC')),
    window_end Nullable(DateTime64(3, 'UTC')),
    version UInt32,
    o Float64,
    h Float64,
    l Float64,
    c Float64,
    v Float64,
    vwap Nullable(Float64),
    count UInt64
)
engine = ReplacingMergeTree(ingest_ts)
partition by toDate(event_ts)
order by (symbol, event_ts, seq)
ttl toDateTime(event_ts) + interval 35 day
settings index_granularity = 8192;

create table if not exists torghut.ta_signals (
    symbol LowCardinality(String),
    event_ts DateTime64(3, 'UTC'),
    seq UInt64,
    ingest_ts DateTime64(3, 'UTC'),
    is_final UInt8,
    source LowCardinality(String),
    window_size LowCardinality(String),
    window_step Nullable(String),
    window_start Nullable(DateTime64(3, 'UTC')),
    window_end Nullable(DateTime64(3, 'UTC')),
    version UInt32,
    macd Nullable(Float64),
    macd_signal Nullable(Float64),
    macd_hist Nullable(Float64),
    ema12 Nullable(Float64),
    ema26 Nullable(Float64),
    rsi14 Nullable(Float64),
    boll_mid Nullable(Float64),
    boll_upper Nullable(Float64),
    boll_lower Nullable(Float64),
    vwap_session Nullable(Float64),
    vwap_w5m Nullable(Float64),
    imbalance_spread Nullable(Float64),
    imbalance_bid_px Nullable(Float64),
    imbalance_ask_px Nullable(Float64),
    imbalance_bid_sz Nullable(UInt64),
    imbalance_ask_sz Nullable(UInt64),
    vol_realized_w60s Nullable(Float64)
)
engine = ReplacingMergeTree(ingest_ts)
partition by toDate(event_ts)
order by (symbol, event_ts, seq)
ttl toDateTime(event_ts) + interval 35 day
settings index_granularity = 8192;
