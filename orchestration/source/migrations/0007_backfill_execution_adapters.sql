-- Fill the adapters of existing orders from the keys that the application keeps in raw_order.
update executions
set
    execution_expected_adapter = coalesce(execution_expected_adapter, raw_order ->> '_execution_route_expected'),
    execution_actual_adapter = coalesce(
        execution_actual_adapter, raw_order ->> '_execution_route_actual', raw_order ->> '_execution_adapter'
    );
update executions
set
    execution_expected_adapter
    = case execution_expected_adapter when 'alpaca_fallback' then 'alpaca' else execution_expected_adapter end,
    execution_actual_adapter
    = case execution_actual_adapter when 'alpaca_fallback' then 'alpaca' else execution_actual_adapter end
where 'alpaca_fallback' in (execution_expected_adapter, execution_actual_adapter);
