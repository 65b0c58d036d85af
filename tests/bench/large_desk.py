"""A desk of many strategy-accounts, in the product as `make up` starts it."""

import urllib.request

from orchestration.desk.roster import copies
from tests.e2e.running import RunningUp
from tests.waiting import wait_for

_TIMEOUT_SECONDS = 3600


def start_large_desk(up: RunningUp, count: int) -> None:
    """Start everything with `count` copies of the desk and wait until their history is in.

    The copies trade by the calendars of what they are copies of: their rows are added behind the seed, some seconds
    before the first facts come.
    """
    up.environment["JANGAR_QUANT_DESK_COPIES"] = str(count)
    up.start()
    rows = [
        [account.label, "24/7", "BTC/USD"]
        for account in copies(count)
        if account.asset_class == "crypto" and account.label != "paper-crypto"
    ]

    def is_configured() -> bool:
        # A client says on standard error that nobody answers yet.
        urllib.request.urlopen(f"http://127.0.0.1:{up.ports['JANGAR_QUANT_WAREHOUSE_PORT']}/ping", timeout=1).close()
        with up.warehouse() as warehouse:
            if warehouse.command("select count() from quant.account_settings") == 0:
                return False
            if rows:
                warehouse.insert("account_settings", rows, database="quant")
            return True

    wait_for(is_configured, 120, "the calendars of the accounts")
    up.wait_until_up(_TIMEOUT_SECONDS)
    up.wait_until_history_is_in(_TIMEOUT_SECONDS)
