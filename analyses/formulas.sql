-- Not run: every family of metrics as it reaches the warehouse. A metric's formula_version stands for this text; see
-- orchestration/transform/formulas.py.
{% for family in metric_families() %}
-- family: {{ family }}
{{ metric_frames([family]) }}
{% endfor %}
