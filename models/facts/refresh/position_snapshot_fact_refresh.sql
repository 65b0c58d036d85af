{{ config(refreshable=every_second()) }}
{{ materialization_target_table(ref("position_snapshot_fact")) }}
select *
from {{ ref("pending_position_snapshot_fact") }}
-- In the order of arrival: the newest row is the cursor, also of a refresh that was
-- killed in the middle.
order by applied
