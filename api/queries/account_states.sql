select account, calendar, last_event_at from quant.api_accounts order by account
