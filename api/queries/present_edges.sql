select toString(groupArray((calendar, accounts, arrayFilter(one -> one.1 = 0, edges)))) as edges
from quant.edges_of_accounts(as_of = {as_of:String}, account = {account:String})
