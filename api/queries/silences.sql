select *
from quant.api_silences
order by silenced_at desc, silence_id
limit 1000
