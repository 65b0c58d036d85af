"""Load room: one row of a file of fills, checked and put into the form of the staging table."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from orchestration.load.columns import FILL_FIELDS, map_columns, require
from orchestration.load.values import Refused, TimeRules, column_number, name, number

# Columns of the staging table in the order of `FillReader.read`.
FILL_COLUMNS = (
    *("n", "line", "account", "strategy", "order_key", "fill_id", "fill_key", "symbol", "side", "qty", "price", "ts"),
    *("fee", "decided_at", "submitted_at", "arrival_price", "order_type", "limit_price"),
)
_BUY = {"buy", "b", "bot", "bought", "long", "buy to open", "buy to close", "buy to cover", "bto", "btc", "1", "+1"}
_SELL = {
    *("sell", "s", "sld", "sold", "short", "sell short", "short sell", "sell_short", "ss", "sell to open"),
    *("sell to close", "sto", "stc", "-1"),
}
_ORDER_TYPE = "market"
_MIDNIGHT = "T00:00:00+00:00"


@dataclass(frozen=True)
class FillDefaults:
    """What the caller says about every row: wins over the column that usual names find."""

    strategy: str | None = None
    account: str | None = None
    symbol: str | None = None
    negative_fees: bool = False


@dataclass
class FillTotals:
    """What the rows that were taken add up to."""

    rows: int = 0
    rounded: int = 0
    notional: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    symbols: set[str] = field(default_factory=set)
    strategies: set[tuple[str, str]] = field(default_factory=set)
    only_midnights: bool = True
    first: datetime | None = None
    last: datetime | None = None


class FillReader:
    """Checks the rows of one file of fills.

    Args:
        symbol_length: longest symbol that the source's schema holds.
    """

    def __init__(
        self,
        header: Sequence[str],
        overrides: Mapping[str, str],
        defaults: FillDefaults,
        times: TimeRules,
        *,
        file: str,
        symbol_length: int,
    ) -> None:
        self.columns = map_columns(header, FILL_FIELDS, overrides, file=file)
        require(self.columns, "time", "when it was filled", file=file)
        if defaults.symbol is None:
            require(self.columns, "symbol", "what was traded", file=file, alternative=", or give --symbol")
        require(self.columns, "qty", "how much; signed when there is no side", file=file)
        require(self.columns, "price", "price of one unit", file=file)
        self.totals = FillTotals()
        self._times = times
        self._symbol_length = symbol_length
        self._negative_fees = defaults.negative_fees
        self._constants: dict[str, str] = {}
        for column, value in (("strategy", defaults.strategy), ("account", defaults.account)):
            # An option wins over a column that was only guessed, a mapped column over everything.
            if column not in overrides and (value is not None or column not in self.columns):
                self._constants[column] = value or {"strategy": "loaded", "account": "loaded"}[column]
        if defaults.symbol is not None and "symbol" not in overrides:
            self._constants["symbol"] = defaults.symbol
        self._width = len(self.columns.header)

    def read(self, line: int, cells: Sequence[str]) -> tuple[str | None, ...]:
        """Return the row's values in the order of `FILL_COLUMNS`.

        Raises:
            Refused: says why the row cannot be loaded.
        """
        if len(cells) != self._width:
            raise Refused(f"has {len(cells)} cells where the header has {self._width}")
        totals = self.totals
        ts = self._times.parse(self._cell(cells, "time"))
        symbol = name(self._text(cells, "symbol"), "symbol", self._symbol_length)
        strategy = name(self._text(cells, "strategy"), "strategy", 255)
        account = name(self._text(cells, "account"), "account", 64)
        side, qty = self._side_and_quantity(cells)
        price = number(self._cell(cells, "price"), "price")
        if price <= 0:
            raise Refused(f"price {price} is not positive")
        qty, qty_rounded = column_number(qty, "quantity")
        price, price_rounded = column_number(price, "price")
        if not qty or not price:
            raise Refused("quantity or price is zero after rounding to 8 decimals")
        fee = self._optional_number(cells, "fee")
        if fee is not None and self._negative_fees:
            fee = -fee
        order_key = self._optional_name(cells, "order_id")
        fill_id = self._optional_name(cells, "fill_id")
        decided_at, submitted_at = (
            self._optional_time(cells, "decision_time"),
            self._optional_time(cells, "submit_time"),
        )
        arrival, limit = self._optional_number(cells, "arrival_price"), self._optional_number(cells, "limit_price")
        stamp = ts.isoformat()
        if fill_id is not None:
            identity = f"{account}\x1f{strategy}\x1f{fill_id}"
        else:
            identity = (
                f"{account}\x1f{strategy}\x1f{order_key}\x1f{symbol}\x1f{side}\x1f{qty}\x1f{price}\x1f{stamp}\x1f{fee}"
            )

        totals.rows += 1
        totals.rounded += qty_rounded or price_rounded
        totals.only_midnights = totals.only_midnights and stamp.endswith(_MIDNIGHT)
        totals.notional += qty * price
        totals.fees += fee or 0
        totals.symbols.add(symbol)
        totals.strategies.add((strategy, account))
        totals.first = ts if totals.first is None or ts < totals.first else totals.first
        totals.last = ts if totals.last is None or ts > totals.last else totals.last
        return (
            str(totals.rows),
            str(line),
            account,
            strategy,
            order_key,
            fill_id,
            hashlib.md5(identity.encode(), usedforsecurity=False).hexdigest(),
            symbol,
            side,
            str(qty),
            str(price),
            stamp,
            None if fee is None else str(fee),
            None if decided_at is None else decided_at.isoformat(),
            None if submitted_at is None else submitted_at.isoformat(),
            None if arrival is None else str(arrival),
            (self._optional_name(cells, "order_type") or _ORDER_TYPE).lower(),
            None if limit is None else str(limit),
        )

    def _side_and_quantity(self, cells: Sequence[str]) -> tuple[str, Decimal]:
        qty = number(self._cell(cells, "qty"), "quantity")
        if qty == 0:
            raise Refused("quantity is zero")
        if "side" not in self.columns:
            return ("buy" if qty > 0 else "sell"), abs(qty)
        word = self._cell(cells, "side").strip().lower()
        if word in _BUY:
            if qty < 0:
                raise Refused(f"side {word!r} contradicts the negative quantity {qty}")
            return "buy", qty
        if word in _SELL:
            return "sell", abs(qty)
        raise Refused(f"side {word!r} is neither a buy nor a sell")

    def _cell(self, cells: Sequence[str], column: str) -> str:
        found = self.columns.indexes[column]
        return cells[found[0]] if len(found) == 1 else " ".join(cells[index].strip() for index in found)

    def _text(self, cells: Sequence[str], column: str) -> str:
        return self._constants[column] if column in self._constants else self._cell(cells, column)

    def _optional_text(self, cells: Sequence[str], column: str) -> str | None:
        if column not in self.columns:
            return None
        return self._cell(cells, column).strip() or None

    def _optional_number(self, cells: Sequence[str], column: str) -> Decimal | None:
        text = self._optional_text(cells, column)
        return None if text is None else column_number(number(text, column), column)[0]

    def _optional_name(self, cells: Sequence[str], column: str) -> str | None:
        text = self._optional_text(cells, column)
        return None if text is None else name(text, column, {"order_type": 32}.get(column, 96))

    def _optional_time(self, cells: Sequence[str], column: str) -> datetime | None:
        text = self._optional_text(cells, column)
        return None if text is None else self._times.parse(text)
