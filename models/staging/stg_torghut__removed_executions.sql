-- Its own view: what is named here of a row needs no parsing, nor the planning of it.
select id as order_id, _applied as applied
from {{ source('torghut_raw', 'executions') }}
where _deleted = 1
union all
select id as order_id, _applied as applied
from {{ source('torghut_raw', 'executions__history') }}
where _deleted = 1
