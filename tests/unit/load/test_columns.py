"""Finding the columns of a file: usual names, explicit mappings, clear refusals."""

import pytest

from orchestration.errors import UserError
from orchestration.load.columns import FILL_FIELDS, map_columns, parse_overrides, require


def _described(header: str, **overrides: str) -> str:
    return map_columns(header.split(","), FILL_FIELDS, overrides, file="f.csv").describe()


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            "txn_id,dt,amount,price,sid,symbol,txn_dollars",
            "time=dt, symbol=symbol, qty=amount, price=price, fill_id=txn_id",
        ),
        ("ts_utc,TxnPrice,TxnQty", "time=ts_utc, qty=TxnQty, price=TxnPrice"),
        (
            "Date/Time,Ticker,Buy/Sell,Shares,T. Price,Comm/Fee,Order ID",
            "time=Date/Time, symbol=Ticker, side=Buy/Sell, qty=Shares, price=T. Price, fee=Comm/Fee, order_id=Order ID",
        ),
        ("Date,Time,Symbol,Qty,Price", "time=Date+Time, symbol=Symbol, qty=Qty, price=Price"),
    ],
)
def test_usual_names_are_recognised(header: str, expected: str) -> None:
    assert _described(header) == expected


def test_a_mapping_wins_and_its_column_is_not_guessed_again() -> None:
    assert _described("time,symbol,price,avg_price,qty", price="avg_price") == (
        "time=time, symbol=symbol, qty=qty, price=avg_price"
    )
    assert _described("dt,ticker,amount,cost", qty="amount", price="cost") == (
        "time=dt, symbol=ticker, qty=amount, price=cost"
    )
    assert _described("day,clock,symbol,qty,price", time="day+clock").startswith("time=day+clock,")


def test_missing_columns_name_those_that_exist() -> None:
    columns = map_columns(["when", "what"], FILL_FIELDS, {}, file="f.csv")
    with pytest.raises(UserError) as caught:
        require(columns, "time", "when it was filled", file="f.csv")
    assert "when, what" in caught.value.message
    assert "--map time=COLUMN" in caught.value.remedy


def test_unusable_mappings_are_refused() -> None:
    with pytest.raises(UserError, match="no column nope"):
        _described("time,symbol", qty="nope")
    with pytest.raises(UserError, match="several columns named price"):
        _described("price,price")
    with pytest.raises(UserError, match="unknown field"):
        parse_overrides(["colour=blue"])
    with pytest.raises(UserError, match="not field=column"):
        parse_overrides(["symbol"])
    assert parse_overrides(["symbol=t,qty=a", "price=p"]) == {"symbol": "t", "qty": "a", "price": "p"}
