"""`jangar-quant up`: starts every process in order, shows progress, restarts what dies, stops everything."""
