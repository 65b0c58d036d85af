{{ api_frame(families_of(last_input="feeds")) }}
