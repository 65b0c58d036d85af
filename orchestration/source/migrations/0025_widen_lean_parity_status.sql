-- 'blocked_missing_empirical_authority' has 35 characters.
alter table lean_execution_shadow_events alter column parity_status type varchar(64);
alter table lean_strategy_shadow_evaluations alter column parity_status type varchar(64);
