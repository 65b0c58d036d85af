{# Work queues between refreshable views: what changed, batch by batch, each batch closed by a row of its own.

   A view that replaces its target would lose work: the target can be exchanged while the next view is still reading it,
   so the keys of one version would be taken as done up to the cursors of a later one. A queue is appended to instead.
   Its batches never change, a batch counts once its closing row is there, which is written last, and the reader fixes
   the range of batches once, before it reads any. #}
{# Number of the next batch: the clock in milliseconds, forced to grow. #}
{% macro next_batch(queue) -%}
    (
        select greatest(toUInt64(toUnixTimestamp64Milli(now64(3))), max(batch) + 1)
        from {{ queue }}
    )
{%- endmacro %}

{# Number of the newest batch that is complete. #}
{% macro newest_batch(queue) -%}
    (select max(batch) from {{ queue }} where is_end = 1)
{%- endmacro %}

{# The rows of a queue that are still to do; `done` and `newest` name scalars of the reader. #}
{% macro to_do(queue) -%}
    (
        select *
        from {{ queue }}
        where is_end = 0 and batch > batches_done and batch <= newest_batch
    )
{%- endmacro %}

{# Work that was done long ago goes; closing rows stay longer, since the newest one carries the cursors. Idle for longer
   than that, everything is computed once more, with the same result. #}
{% macro queue_ttl() -%}
    {%- set written_at = "toDateTime(intDiv(batch, 1000))" -%}
    {{ return(written_at ~ " + interval 2 day delete where is_end = 0, " ~ written_at ~ " + interval 365 day") }}
{%- endmacro %}
