"""Seed generator: writes trading_sessions.csv from the library exchange-calendars. Run it to extend the years.

    python seeds/generate_trading_sessions.py

A row is one session: its calendar, date, opening and closing moment (UTC, seconds) and the trading seconds of its
calendar before it opens. 24/7 calendars need no rows here: the model `trading_session` generates them.
"""

import csv
from pathlib import Path

import exchange_calendars

CALENDARS = ("XNYS",)
FIRST, LAST = "2000-01-01", "2031-12-31"


def main() -> None:
    """Write `trading_sessions.csv` beside this file."""
    with Path(__file__).with_name("trading_sessions.csv").open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target, lineterminator="\n")
        writer.writerow(["calendar", "session_date", "opens_at", "closes_at", "seconds_before"])
        for name in CALENDARS:
            schedule = exchange_calendars.get_calendar(name, start=FIRST, end=LAST).schedule
            before = 0
            for session in schedule.itertuples():
                opens, closes = session.open, session.close
                writer.writerow(
                    [name, session.Index.date(), f"{opens:%Y-%m-%d %H:%M:%S}", f"{closes:%Y-%m-%d %H:%M:%S}", before]
                )
                before += int((closes - opens).total_seconds())


if __name__ == "__main__":
    main()
