select account from quant.api_accounts order by account
