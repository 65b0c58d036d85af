-- Reviews of decisions by a language model; append-only, several per decision.
create table llm_decision_reviews (
    id uuid primary key,
    trade_decision_id uuid not null references trade_decisions (id) on delete cascade,
    model varchar(128) not null,
    prompt_version varchar(32) not null,
    input_json jsonb not null,
    response_json jsonb not null,
    verdict varchar(16) not null,
    confidence numeric(6, 4),
    adjusted_qty numeric(20, 8),
    adjusted_order_type varchar(32),
    rationale text,
    risk_flags jsonb,
    tokens_prompt integer,
    tokens_completion integer,
    created_at timestamptz not null default now()
);
create index ix_llm_decision_reviews_trade_decision_id on llm_decision_reviews (trade_decision_id);
create index ix_llm_decision_reviews_verdict on llm_decision_reviews (verdict);
create index ix_llm_decision_reviews_created_at on llm_decision_reviews (created_at);
