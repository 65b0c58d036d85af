select channel, outcome, alerts from quant.api_notifications
