select *
from quant.api_reconciliation(since = {since:DateTime64(3)}, until = {until:DateTime64(3)})
where {account:String} in ('', account)
order by day desc, account
limit 500
