"""The load room: trades and equity from files into the source, for people without a trading system of their own."""
