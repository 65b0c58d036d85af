"""Load room: which column of a file holds which field - from usual names, or as the caller maps them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestration.errors import UserError

# Usual names of each field, best first, in the form that `_plain` gives a column name.
FILL_FIELDS: dict[str, tuple[str, ...]] = {
    "time": (
        *("time", "timestamp", "datetime", "dt", "ts", "tsutc", "filltime", "filledat", "executiontime", "exectime"),
        *("executedat", "tradetime", "transactiontime", "eventts", "date", "tradedate", "day"),
    ),
    "symbol": ("symbol", "ticker", "instrument", "asset", "security", "sym", "underlying", "sid"),
    "side": ("side", "action", "buysell", "direction", "bs"),
    "qty": (
        *("qty", "quantity", "amount", "shares", "size", "txnqty", "fillqty", "filledqty", "filledquantity"),
        *("txnquantity", "contracts", "units", "volume"),
    ),
    "price": (
        *("price", "fillprice", "txnprice", "tradeprice", "tprice", "avgprice", "averageprice", "execprice"),
        *("executionprice", "avgfillprice", "filledavgprice"),
    ),
    "fee": ("fee", "fees", "commission", "commissions", "commfee", "ibcommission", "txnfees", "cost"),
    "strategy": ("strategy", "strategyname", "strategyid", "algo"),
    "account": ("account", "accountid", "accountlabel", "portfolio"),
    "order_id": ("orderid", "order", "ordid", "clientorderid"),
    "fill_id": ("fillid", "tradeid", "executionid", "execid", "txnid", "transactionid"),
    "decision_time": ("decisiontime", "decidedat", "signaltime"),
    "submit_time": ("submittime", "submittedat", "ordertime", "orderdate"),
    "arrival_price": ("arrivalprice", "decisionprice", "referenceprice", "midprice", "arrivalmid"),
    "order_type": ("ordertype",),
    "limit_price": ("limitprice",),
}
EQUITY_FIELDS: dict[str, tuple[str, ...]] = {
    "time": FILL_FIELDS["time"],
    "equity": ("equity", "nav", "netliquidation", "portfoliovalue", "accountvalue", "totalvalue", "balance", "total"),
    "returns": ("returns", "return", "ret", "dailyreturn", "dailyreturns", "pctchange"),
    "cash": ("cash", "cashbalance"),
    "buying_power": ("buyingpower",),
    "account": FILL_FIELDS["account"],
}
POSITION_FIELDS: dict[str, tuple[str, ...]] = {
    "time": FILL_FIELDS["time"],
    "symbol": FILL_FIELDS["symbol"],
    "market_value": ("marketvalue", "value", "positionvalue", "dollarvalue", "mv"),
    "qty": ("qty", "quantity", "shares", "position", "units", "amount"),
    "price": ("price", "currentprice", "lastprice", "close", "mark"),
    "account": FILL_FIELDS["account"],
    "cash": EQUITY_FIELDS["cash"],
}


# Columns that together are the time, when a file has it in two.
_TIME_IN_PARTS = ("date", "time")


@dataclass(frozen=True)
class ColumnMap:
    """Which columns hold which field: indexes by field (several only for a time in parts), beside the header."""

    header: tuple[str, ...]
    indexes: Mapping[str, tuple[int, ...]]

    def __contains__(self, field: str) -> bool:
        return field in self.indexes

    def describe(self) -> str:
        """Return `field=column` of every field that was found."""
        return ", ".join(
            f"{field}={'+'.join(self.header[index] for index in found)}" for field, found in self.indexes.items()
        )

    def unused(self) -> list[str]:
        """Return the columns that no field uses."""
        used = {index for found in self.indexes.values() for index in found}
        return [name for index, name in enumerate(self.header) if index not in used]


def parse_overrides(pairs: Iterable[str]) -> dict[str, str]:
    """Return the mapping of `--map field=column,...` options, which may be given several times.

    Raises:
        UserError: a part is not `field=column`, or the field is unknown.
    """
    known = sorted({*FILL_FIELDS, *EQUITY_FIELDS, *POSITION_FIELDS})
    found: dict[str, str] = {}
    for pair in (part for text in pairs for part in text.split(",")):
        field, separator, column = (piece.strip() for piece in pair.partition("="))
        if not separator or not column:
            raise UserError(f"--map {pair!r} is not field=column.", "Write for example --map symbol=ticker,qty=amount.")
        if field not in known:
            raise UserError(f"--map names an unknown field, {field!r}.", f"The fields are: {', '.join(known)}.")
        found[field] = column
    return found


def map_columns(
    header: Sequence[str], fields: Mapping[str, tuple[str, ...]], overrides: Mapping[str, str], *, file: str
) -> ColumnMap:
    """Find the column of each field: as `overrides` say, else by the usual names, ignoring case and punctuation.

    Raises:
        UserError: a mapped column is not in the file, or two columns share a name.
    """
    names = [name.strip() for name in header]
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise UserError(f"{file} has several columns named {', '.join(repeated)}.", "Rename all but one of them.")
    plain = [_plain(name) for name in names]
    indexes: dict[str, tuple[int, ...]] = {}
    for field, usual_names in fields.items():
        if field in overrides:
            indexes[field] = _named_columns(field, overrides[field], names, file)
        elif field == "time" and all(part in plain for part in _TIME_IN_PARTS):
            indexes[field] = tuple(plain.index(part) for part in _TIME_IN_PARTS)
        else:
            taken = {index for name, found in overrides.items() if name in fields for index in _find(found, names)}
            usual = (plain.index(name) for name in usual_names if name in plain)
            index = next((index for index in usual if index not in taken), None)
            if index is not None:
                indexes[field] = (index,)
    return ColumnMap(tuple(names), indexes)


def require(columns: ColumnMap, field: str, meaning: str, *, file: str, alternative: str = "") -> None:
    """Refuse a file in which no column holds `field`.

    Raises:
        UserError: names the columns that the file has.
    """
    if field not in columns:
        raise UserError(
            f"{file} has no column that is recognised as {field} ({meaning}); "
            f"its columns are: {', '.join(columns.header)}.",
            f"Name it with --map {field}=COLUMN{alternative}.",
        )


def _named_columns(field: str, wanted: str, names: list[str], file: str) -> tuple[int, ...]:
    found = _find(wanted, names)
    if not found:
        raise UserError(
            f"--map {field}={wanted}: {file} has no column {wanted}; its columns are: {', '.join(names)}.",
            "Correct the name of the column.",
        )
    return found


def _find(wanted: str, names: list[str]) -> tuple[int, ...]:
    """Return the index of the column `wanted`, or of its parts when it is written as `date+time`."""
    parts = [wanted] if wanted in names else wanted.split("+")
    return tuple(names.index(part) for part in parts) if all(part in names for part in parts) else ()


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
