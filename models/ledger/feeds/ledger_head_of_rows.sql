{{ materialization_target_table(ref("ledger_head")) }}
select
    account,
    strategy_id,
    symbol,
    executed_at,
    sequence,
    fill_id,
    price,
    {%- for column in ledger_state() %} {{ column }}, {%- endfor %}
    revision
from {{ ref("position_ledger") }}
-- The cursors too: how far the heads are there.
where bitAnd(revision, 1) = 1 or account = ''
