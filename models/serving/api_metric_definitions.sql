{{ config(contract={"enforced": true}) }}
select
    toString(metric_name) as metric_name,
    toString(metric_group) as metric_group,
    toString(tier) as tier,
    toString(unit) as unit,
    toInt32(precision) as precision,
    toString(direction) as direction,
    toInt32(min_samples) as min_samples,
    toString(formula) as formula,
    toString(formula_version) as formula_version,
    toString(source) as source
from {{ ref("metric_definitions") }}
