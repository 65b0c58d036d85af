"""Times, numbers and names of a file: read exactly, or refused."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from orchestration.errors import UserError
from orchestration.load.values import Refused, TimeRules, column_number, name, number, parse_close, parse_zone


def _rules(zone: str = "UTC", close: str = "16:00 America/New_York", **more: object) -> TimeRules:
    return TimeRules(parse_zone(zone), *parse_close(close), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-02T09:30:00-05:00", "2024-01-02T14:30:00"),
        ("2024-01-02 14:30:00Z", "2024-01-02T14:30:00"),
        ("2024-01-02 14:30:00 UTC", "2024-01-02T14:30:00"),
        ("2024-01-02 14:30:00.123456789+00:00", "2024-01-02T14:30:00.123456"),
        ("2024-01-02 14:30", "2024-01-02T14:30:00"),
        ("2004-01-09 00:00:00+00:00", "2004-01-09T00:00:00"),
        # A date alone is its regular close: 16:00 in New York, in winter and in summer.
        ("2024-01-02", "2024-01-02T21:00:00"),
        ("2024-07-02", "2024-07-02T20:00:00"),
        ("20240702", "2024-07-02T20:00:00"),
        ("1704205800", "2024-01-02T14:30:00"),
        ("1704205800.25", "2024-01-02T14:30:00.250000"),
        ("1704205800123", "2024-01-02T14:30:00.123000"),
        ("1704205800123456", "2024-01-02T14:30:00.123456"),
        ("1704205800123456789", "2024-01-02T14:30:00.123456"),
    ],
)
def test_times_without_options(text: str, expected: str) -> None:
    assert _rules().parse(text) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_a_stamp_without_zone_is_in_the_zone_of_the_option() -> None:
    assert _rules("America/New_York").parse("2024-07-02 09:30") == datetime(2024, 7, 2, 13, 30, tzinfo=UTC)


def test_daily_takes_the_date_as_it_is_written() -> None:
    rules = _rules(daily=True)
    assert rules.parse("2004-01-09 00:00:00+00:00") == datetime(2004, 1, 9, 21, tzinfo=UTC)
    assert rules.parse("2004-01-09T23:59:00-08:00") == datetime(2004, 1, 9, 21, tzinfo=UTC)


def test_patterns_with_and_without_a_time_of_day() -> None:
    assert _rules(pattern="%d/%m/%Y %H:%M").parse("02/01/2024 14:30") == datetime(2024, 1, 2, 14, 30, tzinfo=UTC)
    assert _rules(pattern="%d/%m/%Y").parse("02/01/2024") == datetime(2024, 1, 2, 21, tzinfo=UTC)
    with pytest.raises(Refused, match="does not match"):
        _rules(pattern="%d/%m/%Y").parse("2024-01-02")


@pytest.mark.parametrize("text", ["", "yesterday", "2024-13-01", "1066-10-14", "2300-01-01T00:00:00Z", "12345", "nan"])
def test_what_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="time"):
        _rules().parse(text)


def test_options_that_are_not_times_are_explained() -> None:
    with pytest.raises(UserError, match="time zone"):
        parse_zone("Mars/Olympus")
    with pytest.raises(UserError, match="time of day"):
        parse_close("noon")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1", "0.1"),
        (" -12.50 ", "-12.50"),
        ("+3", "3"),
        ("1e-3", "0.001"),
        (".5", "0.5"),
        ("5.", "5"),
        ("1,234,567.89", "1234567.89"),
        ("-$1,234.50", "-1234.50"),
        ("$12", "12"),
    ],
)
def test_numbers_are_exact(text: str, expected: str) -> None:
    assert number(text, "price") == Decimal(expected)


@pytest.mark.parametrize(
    "text", ["", "nan", "inf", "-Infinity", "1_000", "1,23", "1.234,56", "0x10", "12 34", "\uff11\uff12", "1e9999"]
)
def test_what_is_not_a_number_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="price"):
        number(text, "price")


@pytest.mark.parametrize(
    ("value", "expected", "changed"),
    [
        ("4.82375000001", "4.82375000", True),
        ("0.000000005", "0.00000000", True),
        ("0.000000015", "0.00000002", True),
        ("999999999999.99999999", "999999999999.99999999", False),
        ("1.5", "1.50000000", False),
    ],
)
def test_rounding_is_half_even_and_told(value: str, expected: str, changed: bool) -> None:
    assert column_number(Decimal(value), "price") == (Decimal(expected), changed)


@pytest.mark.parametrize("value", ["1000000000000", "999999999999.999999999", "-1e30", "1e999"])
def test_numbers_beyond_the_column_are_refused(value: str) -> None:
    with pytest.raises(Refused, match="12 digits"):
        column_number(Decimal(value), "price")


def test_names_are_printable_and_short() -> None:
    assert name(" BRK.B ", "symbol", 16) == "BRK.B"
    for text in ("", "A" * 17, "A\tB", "A\x00B"):
        with pytest.raises(Refused, match="symbol"):
            name(text, "symbol", 16)
