-- Which capital authority allowed a decision.
alter table strategies add column active_capital_authority_id uuid;
alter table trade_decisions
    add column strategy_capital_authority_id varchar(128),
    add column strategy_capital_authority_digest varchar(71),
    add column strategy_capital_authority_evaluated_at timestamptz,
    add column strategy_capital_authority_allowed boolean;
