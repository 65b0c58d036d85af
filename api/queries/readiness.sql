select newest_frame_at, newest_tick_at, has_facts from quant.api_readiness
