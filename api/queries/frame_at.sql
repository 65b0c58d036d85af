select *
from quant.api_metric_frame(
    as_of = {as_of:DateTime64(3)},
    known_at = {known_at:DateTime64(3)},
    edges = (
        select groupArray((account, calendar, edge, window, edge_at, quotes_from, trading_ms, sampling_ms, is_open))
        from quant.account_edge(as_of = {as_of:DateTime64(3)})
    )
)
where strategy_id = {strategy_id:String} and account = {account:String} and window = {window:String}
order by metric_name
settings max_threads = 1, join_algorithm = 'hash', compile_expressions = 0, compile_aggregate_expressions = 0
