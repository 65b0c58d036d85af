-- Adapters are always known, and a fallback always has a reason: complete the existing orders, then require it.
update executions
set
    execution_expected_adapter = coalesce(nullif(btrim(execution_expected_adapter), ''), 'unknown'),
    execution_actual_adapter = coalesce(nullif(btrim(execution_actual_adapter), ''), 'unknown'),
    execution_fallback_count = coalesce(execution_fallback_count, 0),
    execution_fallback_reason = case
        when coalesce(execution_fallback_count, 0) > 0
            then coalesce(nullif(btrim(execution_fallback_reason), ''), 'unknown')
        else execution_fallback_reason
    end;
alter table executions
    alter column execution_expected_adapter set default 'unknown',
    alter column execution_expected_adapter set not null,
    alter column execution_actual_adapter set default 'unknown',
    alter column execution_actual_adapter set not null,
    alter column execution_fallback_count set default 0,
    alter column execution_fallback_count set not null,
    add constraint ck_executions_fallback_reason_required check (
        execution_fallback_count = 0 or coalesce(btrim(execution_fallback_reason), '') <> ''
    );
