"""Load room: the statements that turn staged fills into strategies, decisions, orders and order events.

`{name}` marks what `write_fills.py` fills in; other braces are JSON's.
"""

# A fill of unknown id is known by its content; equal fills of one file are told apart by their order in it.
NUMBER_REPEATS = """
update load_fill
set fill_key = md5(load_fill.fill_key::text || ':' || repeats.occurrence)::uuid
from (
    select n, row_number() over (partition by fill_key order by n) - 1 as occurrence
    from load_fill
    where fill_key in (select fill_key from load_fill group by fill_key having count(*) > 1)
) as repeats
where repeats.n = load_fill.n and repeats.occurrence > 0 and load_fill.fill_id is null
"""
# A fill id that comes again is the same fill, or a contradiction.
REPEATED_IDS = """
select
    later.line,
    first.line as first_line,
    (later.symbol, later.side, later.qty, later.price, later.ts, later.order_key)
    is not distinct from (first.symbol, first.side, first.qty, first.price, first.ts, first.order_key) as same
from load_fill as later
join (
    select distinct on (fill_key) * from load_fill where fill_id is not null order by fill_key, n
) as first on first.fill_key = later.fill_key and later.n > first.n
where later.fill_id is not null
order by later.n
"""
DELETE_REPEATED_IDS = """
delete from load_fill as later
using load_fill as first
where first.fill_key = later.fill_key and later.fill_id is not null and later.n > first.n
"""
MIXED_ORDERS = """
select line, order_key
from load_fill
where (account, order_key) in (
    select account, order_key
    from load_fill
    where order_key is not null
    group by account, order_key
    having count(distinct (symbol, side, strategy)) > 1
)
order by n
"""
DELETE_MIXED_ORDERS = """
delete from load_fill
where (account, order_key) in (
    select account, order_key
    from load_fill
    where order_key is not null
    group by account, order_key
    having count(distinct (symbol, side, strategy)) > 1
)
"""
STRATEGIES = """
create temp table load_strategy as
select
    names.strategy,
    coalesce(
        (select s.id from strategies as s where s.id::text = names.strategy),
        (select s.id from strategies as s where s.name = names.strategy order by s.created_at, s.id limit 1),
        pg_temp.load_uuid('strategy:' || names.strategy)
    ) as id
from (select distinct strategy from load_fill) as names
"""
INSERT_STRATEGIES = """
insert into strategies (id, name, description, enabled, base_timeframe, universe_type)
select id, strategy, 'Loaded from a file', true, '1Min', 'static'
from load_strategy
on conflict (id) do nothing
"""
IDENTIFY = """
create temp table load_identified as
select
    f.*,
    pg_temp.load_uuid(f.ts, 'fill:' || f.fill_key::text) as id,
    {order_uuid} as order_uuid,
    {decision_uuid} as decision_uuid,
    false as stored
from load_fill as f
"""
# An order is known by its id in its account, whenever and in how many files its fills come; else by its one fill.
BY_ORDER = "pg_temp.load_uuid('{kind}:' || f.account || ':' || f.order_key)"
BY_FILL = "pg_temp.load_uuid(f.ts, '{kind}:' || f.fill_key::text)"
# Fills of an order that an earlier file brought: an order's totals are always those of all its fills.
ADD_STORED_FILLS = """
insert into load_identified
select
    (events.raw_event ->> '_seq')::bigint, 0, orders.account, orders.strategy, orders.order_key, null,
    events.id, orders.symbol, orders.side, (events.raw_event -> 'payload' ->> 'qty')::numeric,
    (events.raw_event -> 'payload' ->> 'price')::numeric, events.event_ts,
    (events.raw_event ->> 'cost_amount')::numeric, (events.raw_event ->> 'decided_at')::timestamptz,
    (events.raw_event ->> 'submitted_at')::timestamptz, (events.raw_event ->> 'arrival_price')::numeric,
    orders.order_type, orders.limit_price, events.id, orders.order_uuid, orders.decision_uuid, true
from (
    select distinct on (order_uuid) * from load_identified where order_key is not null order by order_uuid, n
) as orders
join execution_order_events as events on events.execution_id = orders.order_uuid
where events.source_topic = 'jangar-quant.load' and not exists (
    select 1 from load_identified as present where present.id = events.id
)
"""
# Loaded when the schema had no order events, one row per fill: such an order stays as it is.
DELETE_ORDERS_BY_FILL = """
delete from load_identified
where exists (
    select 1
    from executions
    where executions.trade_decision_id = load_identified.decision_uuid and executions.id <> load_identified.order_uuid
)
"""
ORDERS = """
create temp table load_order as
select
    row_number() over (order by min(n)) as o,
    order_uuid as id,
    decision_uuid,
    min(account) as account,
    min(strategy) as strategy,
    min(order_key) as order_key,
    min(symbol) as symbol,
    min(side) as side,
    sum(qty) as qty,
    case when min(price) = max(price) then min(price) else round(sum(qty * price) / sum(qty), 8) end as price,
    min(ts) as first_ts,
    max(ts) as last_ts,
    sum(fee) as fee,
    min(decided_at) as decided_at,
    min(submitted_at) as submitted_at,
    (array_agg(arrival_price order by ts, n) filter (where arrival_price is not null))[1] as arrival_price,
    min(order_type) as order_type,
    min(limit_price) as limit_price,
    min(n) as seq,
    sum(qty) as decided_qty
from load_identified
group by order_uuid, decision_uuid
"""
# Files without order ids: every fill is an order, and nothing has to be brought together.
ORDERS_ARE_FILLS = """
create temp table load_order as
select
    n as o, order_uuid as id, decision_uuid, account, strategy, order_key, symbol, side, qty, price,
    ts as first_ts, ts as last_ts, fee, decided_at, submitted_at, arrival_price, order_type, limit_price, n as seq,
    {decided_qty} as decided_qty
from load_identified
"""
INSERT_DECISIONS = """
insert into trade_decisions (
    id, strategy_id, alpaca_account_label, symbol, timeframe, decision_json, rationale, status, created_at,
    decision_hash, executed_at
)
select distinct on (o.decision_uuid)
    o.decision_uuid, s.id, o.account, o.symbol, '1Min',
    jsonb_build_object(
        'strategy_id', s.id::text, 'symbol', o.symbol,
        'event_ts', pg_temp.load_moment(coalesce(o.decided_at, o.first_ts)),
        'timeframe', '1Min', 'action', o.side, 'qty', trim_scale(o.decided_qty)::text, 'order_type', o.order_type,
        'time_in_force', 'day', 'limit_price', trim_scale(o.limit_price)::text, 'stop_price', null,
        'rationale', null,
        'params', case
            when o.arrival_price is null then '{}'::jsonb
            else jsonb_build_object(
                'price', trim_scale(o.arrival_price)::text, 'arrival_price', trim_scale(o.arrival_price)::text
            )
        end
    ),
    null, 'filled', coalesce(o.decided_at, o.first_ts),
    pg_temp.load_hash(o.decision_uuid), o.submitted_at
from load_order as o
join load_strategy as s on s.strategy = o.strategy
where o.o between %s and %s
order by o.decision_uuid, o.o
on conflict (id) do {on_conflict}
"""
UPDATE_DECISION = """
update set decision_json = excluded.decision_json
where trade_decisions.decision_json is distinct from excluded.decision_json
"""
INSERT_ORDERS = """
insert into executions ({columns})
select {values}
from load_order as o
where o.o between %s and %s
order by o.o
on conflict (id) do {on_conflict}
"""
UPDATE_ORDER = """
update set
    submitted_qty = excluded.submitted_qty,
    filled_qty = excluded.filled_qty,
    avg_fill_price = excluded.avg_fill_price,
    raw_order = excluded.raw_order,
    last_update_at = excluded.last_update_at,
    updated_at = now()
where (executions.filled_qty, executions.avg_fill_price, executions.raw_order)
    is distinct from (excluded.filled_qty, excluded.avg_fill_price, excluded.raw_order)
"""
RAW_ORDER = """
jsonb_build_object(
    'id', {broker_id}, 'client_order_id', pg_temp.load_hash(o.decision_uuid),
    'created_at', pg_temp.load_moment(o.submitted_at), 'submitted_at', pg_temp.load_moment(o.submitted_at),
    'updated_at', pg_temp.load_moment(o.last_ts), 'filled_at', pg_temp.load_moment(o.last_ts),
    'symbol', o.symbol, 'asset_class', {asset_class}, 'qty', trim_scale(o.qty)::text,
    'filled_qty', trim_scale(o.qty)::text, 'filled_avg_price', trim_scale(o.price)::text,
    'order_class', '', 'order_type', o.order_type, 'type', o.order_type, 'side', o.side, 'time_in_force', 'day',
    'limit_price', trim_scale(o.limit_price)::text, 'stop_price', null, 'status', 'filled',
    'extended_hours', false, 'legs', null, '_seq', o.seq
) || case
    when o.fee is null then '{}'::jsonb
    else jsonb_build_object('cost_amount', trim_scale(o.fee)::text, 'cost_basis', 'broker_reported_commission')
end
"""
INSERT_EVENTS = """
insert into execution_order_events ({columns})
select {values}
from (
    select
        f.*,
        sum(f.qty) over fills as done,
        sum(f.qty * f.price) over fills as paid,
        sum(f.qty) over (partition by f.order_uuid) as ordered
    from load_identified as f
    join load_order as orders on orders.id = f.order_uuid
    where orders.o between %s and %s
    window fills as (partition by f.order_uuid order by f.ts, f.n rows unbounded preceding)
) as f
where not f.stored
order by f.n
on conflict (id) do nothing
"""
