-- Which execution adapter was asked for, which one acted, and why they differ.
alter table executions
    add column execution_expected_adapter varchar(32),
    add column execution_actual_adapter varchar(32),
    add column execution_fallback_reason varchar(128),
    add column execution_fallback_count bigint;
