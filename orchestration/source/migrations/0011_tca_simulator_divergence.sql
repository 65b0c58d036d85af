-- What the execution simulator expected, beside what happened.
alter table execution_tca_metrics
    add column expected_shortfall_bps_p50 numeric(20, 8),
    add column expected_shortfall_bps_p95 numeric(20, 8),
    add column realized_shortfall_bps numeric(20, 8),
    add column divergence_bps numeric(20, 8),
    add column simulator_version varchar(64);
