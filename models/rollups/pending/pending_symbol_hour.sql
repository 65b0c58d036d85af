{{ symbol_hours("ingested_until", 2) }}
