"""Load room: staged fills become strategies, decisions, orders and order events of the source."""

from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql

# Orders per transaction: an interrupted load keeps what it has written, and the next one goes on from there.
BATCH_ORDERS = 20_000

# A fill of unknown id is known by its content; equal fills of one file are told apart by their order in it.
_NUMBER_REPEATS = """
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
_REPEATED_IDS = """
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
_DELETE_REPEATED_IDS = """
delete from load_fill as later
using load_fill as first
where first.fill_key = later.fill_key and later.fill_id is not null and later.n > first.n
"""
_MIXED_ORDERS = """
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
_DELETE_MIXED_ORDERS = """
delete from load_fill
where (account, order_key) in (
    select account, order_key
    from load_fill
    where order_key is not null
    group by account, order_key
    having count(distinct (symbol, side, strategy)) > 1
)
"""
_STRATEGIES = """
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
_INSERT_STRATEGIES = """
insert into strategies (id, name, description, enabled, base_timeframe, universe_type)
select id, strategy, 'Loaded from a file', true, '1Min', 'static'
from load_strategy
on conflict (id) do nothing
"""
_IDENTIFY = """
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
_BY_ORDER = "pg_temp.load_uuid('{kind}:' || f.account || ':' || f.order_key)"
_BY_FILL = "pg_temp.load_uuid(f.ts, '{kind}:' || f.fill_key::text)"
# Fills of an order that an earlier file brought: an order's totals are always those of all its fills.
_ADD_STORED_FILLS = """
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
_DELETE_ORDERS_BY_FILL = """
delete from load_identified
where exists (
    select 1
    from executions
    where executions.trade_decision_id = load_identified.decision_uuid and executions.id <> load_identified.order_uuid
)
"""
_ORDERS = """
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
_ORDERS_ARE_FILLS = """
create temp table load_order as
select
    n as o, order_uuid as id, decision_uuid, account, strategy, order_key, symbol, side, qty, price,
    ts as first_ts, ts as last_ts, fee, decided_at, submitted_at, arrival_price, order_type, limit_price, n as seq,
    {decided_qty} as decided_qty
from load_identified
"""
_INSERT_DECISIONS = """
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
_UPDATE_DECISION = """
update set decision_json = excluded.decision_json
where trade_decisions.decision_json is distinct from excluded.decision_json
"""
_INSERT_ORDERS = """
insert into executions ({columns})
select {values}
from load_order as o
where o.o between %s and %s
order by o.o
on conflict (id) do {on_conflict}
"""
_UPDATE_ORDER = """
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
_RAW_ORDER = """
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
_INSERT_EVENTS = """
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


@dataclass(frozen=True)
class Refusal:
    """A staged row that turns out to be unusable beside the other rows of its file."""

    line: int
    reason: str


class FillWriter:
    """Writes the staged fills.

    With an order id, an order has its fills as order events and their sum as its row; the schema before the events
    (head 0005) can only hold one row per fill. Without an order id every fill is an order.
    """

    def __init__(self, connection: psycopg.Connection, asset_class: str, *, has_order_ids: bool) -> None:
        self._connection = connection
        self._asset_class = asset_class
        self._orders = _columns_of(connection, "executions")
        self._events = _columns_of(connection, "execution_order_events")
        self._has_order_ids = has_order_ids
        self._grouped = has_order_ids and bool(self._events)

    def check(self) -> tuple[list[Refusal], int]:
        """Compare the staged rows with each other and take out what cannot be loaded.

        Returns:
            The refusals, and how many rows repeat an earlier row of the same id and content.
        """
        refusals, repeats = [], 0
        for line, first_line, same in self._connection.execute(_REPEATED_IDS):
            if same:
                repeats += 1
            else:
                refusals.append(Refusal(line, f"its fill id is that of line {first_line}, with other content"))
        self._connection.execute(_DELETE_REPEATED_IDS)
        self._connection.execute(_NUMBER_REPEATS)
        for line, order_key in self._connection.execute(_MIXED_ORDERS):
            refusals.append(Refusal(line, f"order {order_key!r} has several symbols, sides or strategies"))
        self._connection.execute(_DELETE_MIXED_ORDERS)
        return refusals, repeats

    def prepare(self) -> int:
        """Give every fill, order and decision its id; return how many orders there are to write."""
        connection = self._connection
        connection.execute(_STRATEGIES)
        connection.execute(
            _fill_in(_IDENTIFY, order_uuid=self._id_of("order", self._grouped), decision_uuid=self._id_of("decision"))
        )
        if self._grouped:
            connection.execute(_DELETE_ORDERS_BY_FILL)
            connection.execute("create index on load_identified (order_uuid)")
            connection.execute(_ADD_STORED_FILLS)
            connection.execute(_ORDERS)
        else:
            shared = "sum(qty) over (partition by decision_uuid)" if self._has_order_ids else "qty"
            connection.execute(_fill_in(_ORDERS_ARE_FILLS, decided_qty=shared))
        connection.execute("create index on load_order (o)")
        connection.execute("create index on load_order (id)")
        connection.execute("analyze load_identified")
        connection.execute("analyze load_order")
        row = connection.execute("select coalesce(max(o), 0) from load_order").fetchone()
        return int(row[0]) if row else 0

    def count_present(self) -> int:
        """Return how many of the staged fills the source already has."""
        table, key = ("execution_order_events", "id") if self._grouped else ("executions", "order_uuid")
        query = "select count(*) from load_identified as f join {table} as t on t.id = f.{key} where not f.stored"
        row = self._connection.execute(_fill_in(query, table=table, key=key)).fetchone()
        return int(row[0]) if row else 0

    def write(self, orders: int, on_batch: Callable[[int], None]) -> int:
        """Write all orders in batches, each a transaction; return how many fills were new."""
        new = 0
        with self._connection.transaction():
            self._connection.execute(_INSERT_STRATEGIES)
        for first in range(1, orders + 1, BATCH_ORDERS):
            batch = (first, first + BATCH_ORDERS - 1)
            with self._connection.transaction():
                self._connection.execute(self._decision_statement(), batch)
                new_orders = self._connection.execute(self._order_statement(), batch).rowcount
                if self._grouped:
                    new += self._connection.execute(self._event_statement(), batch).rowcount
                else:
                    new += new_orders
            on_batch(min(batch[1], orders))
        return new

    def _id_of(self, kind: str, by_order: bool = True) -> str:
        by_fill = _BY_FILL.replace("{kind}", kind)
        if not (by_order and self._has_order_ids):
            return by_fill
        return f"case when f.order_key is null then {by_fill} else {_BY_ORDER.replace('{kind}', kind)} end"

    def _decision_statement(self) -> bytes:
        return _fill_in(_INSERT_DECISIONS, on_conflict=_UPDATE_DECISION if self._grouped else "nothing")

    def _order_statement(self) -> bytes:
        given = "o.order_key"
        if not (self._grouped and "alpaca_account_label" in self._orders):
            # Unique over all accounts before version 0013, and per fill without events.
            given += " || '#' || substr(o.id::text, 1, 13)"
        broker_id = f"coalesce({given}, 'load-' || o.id::text)"
        asset_class = sql.Literal(self._asset_class).as_string(self._connection)
        raw_order = _fill_in(_RAW_ORDER, broker_id=broker_id, asset_class=asset_class).decode()
        client_order_id = "pg_temp.load_hash(o.decision_uuid)"
        if not self._grouped:
            client_order_id = f"case when o.order_key is null then {client_order_id} end"
        values: dict[str, str] = {
            "id": "o.id",
            "trade_decision_id": "o.decision_uuid",
            "alpaca_order_id": broker_id,
            "client_order_id": client_order_id,
            "symbol": "o.symbol",
            "side": "o.side",
            "order_type": "o.order_type",
            "time_in_force": "'day'",
            "submitted_qty": "o.qty",
            "filled_qty": "o.qty",
            "avg_fill_price": "o.price",
            "status": "'filled'",
            "raw_order": raw_order,
            "created_at": "coalesce(o.submitted_at, o.first_ts)",
            "updated_at": "o.last_ts",
            "last_update_at": "o.last_ts",
            "order_feed_last_event_ts": "o.last_ts" if self._grouped else "null",
            "order_feed_last_seq": "o.seq",
            "alpaca_account_label": "o.account",
        }
        return _statement(_INSERT_ORDERS, values, self._orders, _UPDATE_ORDER if self._grouped else "nothing")

    def _event_statement(self) -> bytes:
        values: dict[str, str] = {
            "id": "f.id",
            "event_fingerprint": "encode(sha256(f.id::text::bytea), 'hex')",
            "source_topic": "'jangar-quant.load'",
            "feed_seq": "f.n",
            "event_ts": "f.ts",
            "symbol": "f.symbol",
            "alpaca_order_id": "f.order_key",
            "client_order_id": "pg_temp.load_hash(f.decision_uuid)",
            "event_type": "case when f.done < f.ordered then 'partial_fill' else 'fill' end",
            "status": "case when f.done < f.ordered then 'partially_filled' else 'filled' end",
            "qty": "f.ordered",
            "filled_qty": "f.done",
            "avg_fill_price": "round(f.paid / f.done, 8)",
            "raw_event": """jsonb_build_object(
                    'channel', 'trade_updates', 'seq', f.n, '_seq', f.n,
                    'payload', jsonb_build_object(
                        'event', case when f.done < f.ordered then 'partial_fill' else 'fill' end,
                        'timestamp', pg_temp.load_moment(f.ts), 'price', trim_scale(f.price)::text,
                        'qty', trim_scale(f.qty)::text, 'execution_id', f.id::text
                    ),
                    'cost_amount', trim_scale(f.fee)::text, 'decided_at', pg_temp.load_moment(f.decided_at),
                    'submitted_at', pg_temp.load_moment(f.submitted_at),
                    'arrival_price', trim_scale(f.arrival_price)::text
                )""",
            "execution_id": "f.order_uuid",
            "trade_decision_id": "f.decision_uuid",
            "alpaca_account_label": "f.account",
            "filled_qty_delta": "f.qty",
            "filled_notional_delta": "round(f.qty * f.price, 8)",
            "fill_quantity_basis": "'delta'",
        }
        return _statement(_INSERT_EVENTS, values, self._events, "nothing")


def _statement(template: str, values: dict[str, str], present: set[str], on_conflict: str) -> bytes:
    """Fill a template with the columns that the source's schema has at its present version."""
    used = {column: value for column, value in values.items() if column in present}
    return _fill_in(template, columns=", ".join(used), values=", ".join(used.values()), on_conflict=on_conflict)


def _fill_in(template: str, **parts: str) -> bytes:
    """Replace `{name}` in a statement; other braces are JSON's."""
    for name, part in parts.items():
        template = template.replace("{" + name + "}", part)
    return template.encode()


def _columns_of(connection: psycopg.Connection, table: str) -> set[str]:
    rows = connection.execute(
        "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
        (table,),
    )
    return {row[0] for row in rows}
