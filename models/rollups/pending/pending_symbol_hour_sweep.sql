{{ symbol_hours("swept_until") }}
