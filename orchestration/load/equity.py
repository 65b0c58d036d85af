"""Load room: rows of equity and of positions, checked and put into the form of their staging tables."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal

from orchestration.errors import UserError
from orchestration.load.columns import EQUITY_FIELDS, POSITION_FIELDS, ColumnMap, map_columns, require
from orchestration.load.values import Refused, TimeRules, column_number, name, number

EQUITY_COLUMNS = ("line", "account", "as_of", "equity", "cash", "buying_power")
POSITION_COLUMNS = ("line", "account", "as_of", "positions", "total", "cash")

# Compounding keeps more digits than the source's 20, so that its rounding shows in no stored digit.
_COMPOUNDING = Context(prec=50)
_Row = tuple[str | None, ...]


class EquityReader:
    """Checks the rows of a file of account equity, or compounds a file of returns.

    With returns, equity starts at `initial_capital` one step (the distance of the first two rows) before the first
    row, so that the first return counts too; rows have to be in the order of time.
    """

    def __init__(
        self,
        header: Sequence[str],
        overrides: Mapping[str, str],
        account: str | None,
        initial_capital: Decimal | None,
        times: TimeRules,
        *,
        file: str,
    ) -> None:
        self.columns = map_columns(header, EQUITY_FIELDS, overrides, file=file)
        require(self.columns, "time", "as of when", file=file)
        self.from_returns = "equity" not in self.columns and "returns" in self.columns
        if not self.from_returns:
            require(self.columns, "equity", "the account's value", file=file, alternative=", or --map returns=COLUMN")
        elif initial_capital is None:
            raise UserError(
                f"{file} has returns but no equity.", "Give --initial-capital, the equity before the first return."
            )
        self.rounded = 0
        self._times = times
        self._account = _AccountColumn(self.columns, overrides, account)
        self._start = self._equity = initial_capital or Decimal(0)
        self._previous: datetime | None = None
        self._first: _Row | None = None
        self._first_time: datetime | None = None

    def read(self, line: int, cells: Sequence[str]) -> list[_Row]:
        """Return the staging rows that this row of the file gives (two for the second row of a file of returns).

        Raises:
            Refused: says why the row cannot be loaded.
        """
        _require_width(cells, self.columns)
        as_of = self._times.parse(_cell(cells, self.columns, "time"))
        account = self._account.of(cells)
        if not self.from_returns:
            return [self._row(line, account, as_of, number(_cell(cells, self.columns, "equity"), "equity"), cells)]
        change = number(_cell(cells, self.columns, "returns"), "return")
        if change < -1:
            raise Refused(f"return {change} is below -1 (returns are fractions: 0.01 is one percent)")
        if self._previous is not None and as_of <= self._previous:
            raise Refused("its time is not after the row before, as compounding returns needs")
        self._equity = _COMPOUNDING.multiply(self._equity, 1 + change)
        rows = [self._row(line, account, as_of, self._equity, cells)]
        if self._previous is not None and self._first_time is not None:
            base = self._first_time - (as_of - self._first_time)
            rows.append(self._row(line, account, base, self._start, cells))
            self._first_time = None
        elif self._previous is None:
            self._first_time = as_of
        self._previous = as_of
        return rows

    def _row(self, line: int, account: str, as_of: datetime, equity: Decimal, cells: Sequence[str]) -> _Row:
        value, rounded = column_number(equity, "equity")
        self.rounded += rounded
        return (
            str(line),
            account,
            as_of.isoformat(),
            str(value),
            _optional_number(cells, self.columns, "cash"),
            _optional_number(cells, self.columns, "buying_power"),
        )


class PositionReader:
    """Checks the rows of a file of positions.

    Long form: one row per time and symbol, with a market value, or a quantity and a price. Wide form: one row per
    time, one column per symbol with the market value in dollars (negative when short), and a column of cash.
    """

    def __init__(
        self,
        header: Sequence[str],
        overrides: Mapping[str, str],
        account: str | None,
        asset_class: str,
        times: TimeRules,
        *,
        file: str,
        symbol_length: int,
    ) -> None:
        columns = map_columns(header, POSITION_FIELDS, overrides, file=file)
        require(columns, "time", "as of when", file=file)
        self.long = "symbol" in columns and ("market_value" in columns or {"qty", "price"} <= columns.indexes.keys())
        if not self.long:
            kept = {field: found for field, found in columns.indexes.items() if field in ("time", "account", "cash")}
            columns = ColumnMap(columns.header, kept)
            for symbol in columns.unused():
                if not 0 < len(symbol) <= symbol_length:
                    raise UserError(
                        f"{file} has a column {symbol!r}, which cannot be a symbol.",
                        f"Name the columns after symbols of at most {symbol_length} characters.",
                    )
        self.columns = columns
        self._symbols = [(columns.header.index(symbol), symbol) for symbol in columns.unused()]
        self._times = times
        self._asset_class = asset_class
        self._symbol_length = symbol_length
        self._account = _AccountColumn(columns, overrides, account)

    def read(self, line: int, cells: Sequence[str]) -> list[_Row]:
        """Return the staging row that this row of the file gives.

        Raises:
            Refused: says why the row cannot be loaded.
        """
        _require_width(cells, self.columns)
        as_of = self._times.parse(_cell(cells, self.columns, "time"))
        account = self._account.of(cells)
        held = self._long_position(cells) if self.long else self._wide_positions(cells)
        cash = _optional_number(cells, self.columns, "cash")
        if self.long and _cell(cells, self.columns, "symbol").lower() == "cash":
            # Long forms write cash as one more symbol.
            cash, held = str(column_number(sum((value for value, _ in held), Decimal(0)), "cash")[0]), []
        total = sum((value for value, _ in held), Decimal(0))
        positions = json.dumps([position for _, position in held], separators=(",", ":"))
        return [(str(line), account, as_of.isoformat(), positions, format(total, "f"), cash)]

    def _wide_positions(self, cells: Sequence[str]) -> list[tuple[Decimal, dict[str, str | None]]]:
        held = []
        for index, symbol in self._symbols:
            text = cells[index].strip()
            value = number(text, symbol) if text else Decimal(0)
            if value:
                held.append((value, self._position(symbol, value, None, None)))
        return held

    def _long_position(self, cells: Sequence[str]) -> list[tuple[Decimal, dict[str, str | None]]]:
        symbol = name(_cell(cells, self.columns, "symbol"), "symbol", self._symbol_length)
        qty, price = (
            number(_cell(cells, self.columns, field), field) if field in self.columns else None
            for field in ("qty", "price")
        )
        if "market_value" in self.columns:
            value = number(_cell(cells, self.columns, "market_value"), "market value")
        else:
            assert qty is not None
            assert price is not None
            value = qty * price
        return [(value, self._position(symbol, value, qty, price))] if value else []

    def _position(
        self, symbol: str, value: Decimal, qty: Decimal | None, price: Decimal | None
    ) -> dict[str, str | None]:
        """Return one element of `positions` as the broker writes it: numbers are strings, unknown ones null."""
        column_number(value, f"market value of {symbol}")
        return {
            "symbol": symbol,
            "asset_class": self._asset_class,
            "side": "long" if value > 0 else "short",
            "qty": None if qty is None else format(qty, "f"),
            "market_value": format(value, "f"),
            "current_price": None if price is None else format(price, "f"),
        }


class _AccountColumn:
    """The account of each row: the option, else the column, else `loaded`; a mapped column wins over all."""

    def __init__(self, columns: ColumnMap, overrides: Mapping[str, str], account: str | None) -> None:
        self._columns = columns
        by_column = "account" in columns and ("account" in overrides or account is None)
        self._constant = None if by_column else (account or "loaded")

    def of(self, cells: Sequence[str]) -> str:
        text = _cell(cells, self._columns, "account") if self._constant is None else self._constant
        return name(text, "account", 64)


def _cell(cells: Sequence[str], columns: ColumnMap, field: str) -> str:
    return " ".join(cells[index].strip() for index in columns.indexes[field])


def _optional_number(cells: Sequence[str], columns: ColumnMap, field: str) -> str | None:
    text = _cell(cells, columns, field) if field in columns else ""
    return str(column_number(number(text, field), field)[0]) if text else None


def _require_width(cells: Sequence[str], columns: ColumnMap) -> None:
    if len(cells) != len(columns.header):
        raise Refused(f"has {len(cells)} cells where the header has {len(columns.header)}")
