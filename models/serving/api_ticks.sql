{{ config(contract={"enforced": true}) }}
select as_of, taken_ms
from {{ ref("known_state") }}
