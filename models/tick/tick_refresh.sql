{{ config(materialized="materialized_view", catchup=false, contract={"enforced": false}, refreshable=every(tier_seconds())) }}
{{ materialization_target_table(ref("tick")) }}
{%- set chains = views_of_stages() %}
select now64(3) as ticked_at
from system.one
where
    throwIf(
        (
            select count()
            from system.view_refreshes
            where
                database = '{{ target.schema }}'
                and status = 'Running'
                and view in (
                    {{ quoted_list(chains.facts + chains.snapshots + chains.ledger + chains.before_positions) }}
                )
        )
        > 0,
        'the tick before is still under way'
    )
    = 0
    {{ refresh_settings() }}
