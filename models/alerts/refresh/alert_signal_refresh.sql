{{ config(refreshable=every(medium_seconds(), append=false)) }}
{{ materialization_target_table(ref("alert_signal")) }}
-- By the clock, not after a tier: a tier that stands still is what it has to tell.
-- Not every second: of the policies'
-- metrics none comes more often than the medium tier, and evaluating takes planning.
select *
from {{ ref("pending_alert_signal") }} {{ refresh_settings() }}
