"""Load room: rows of CSV and Parquet files, one at a time, as text."""

import csv
import gzip
import io
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from orchestration.errors import UserError

_DELIMITERS = ",;\t|"
_PARQUET_SUFFIXES = (".parquet", ".pq")
_PARQUET_BATCH_ROWS = 10_000


@dataclass
class Table:
    """An open file: its header, its rows as `(line, cells)`, and how far it has been read.

    A line number counts from 1 with the header on line 1; in Parquet, which has no lines, the first row is 1.
    """

    name: str
    header: list[str]
    rows: Iterator[tuple[int, Sequence[str]]]
    size: int
    position: Callable[[], int]


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """Open a CSV (also `.gz`; comma, semicolon, tab or bar) or Parquet file.

    Raises:
        UserError: no such file, not readable, empty, or not in UTF-8.
    """
    try:
        if path.suffix.lower() in _PARQUET_SUFFIXES:
            with path.open("rb") as raw:
                yield _parquet_table(path, raw)
        else:
            with path.open("rb") as raw:
                yield _csv_table(path, raw)
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.", "Correct the path.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text.", "Convert it, for example with `iconv -t UTF-8`.") from None
    except (csv.Error, gzip.BadGzipFile, EOFError) as error:
        raise UserError(f"{path} cannot be read as a table: {error}.", "Give a CSV or a Parquet file.") from None
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.", "Correct its permissions.") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a directory.", "Give a CSV or a Parquet file.") from None


def _csv_table(path: Path, raw: IO[bytes]) -> Table:
    data: Any = gzip.GzipFile(fileobj=raw) if path.suffix.lower() == ".gz" else raw
    text = io.TextIOWrapper(data, encoding="utf-8-sig", newline="")
    first = text.readline()
    if not first.strip():
        raise UserError(f"{path} has no header line.", "The first line has to name the columns.")
    delimiter = max(_DELIMITERS, key=first.count)
    header = next(csv.reader([first], delimiter=delimiter))
    # strict: a quote out of place is an error instead of cells that swallow the lines after it.
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    return Table(path.name, header, _csv_rows(reader), path.stat().st_size, raw.tell)


def _csv_rows(reader: Any) -> Iterator[tuple[int, Sequence[str]]]:
    line = 2
    for cells in reader:
        if cells:
            yield line, cells
        # A quoted cell may span lines: the next row starts after the reader's last line and the header.
        line = reader.line_num + 2


def _parquet_table(path: Path, raw: IO[bytes]) -> Table:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            "Reading Parquet needs a package that is not installed.", "Run `pip install 'jangar-quant[parquet]'`."
        ) from None
    try:
        file = pyarrow.parquet.ParquetFile(raw)
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"{path} is not a Parquet file: {error}.", "Give a CSV or a Parquet file.") from None
    done = 0

    def rows() -> Iterator[tuple[int, Sequence[str]]]:
        nonlocal done
        for batch in file.iter_batches(_PARQUET_BATCH_ROWS):
            columns = [column.to_pylist() for column in batch.columns]
            for cells in zip(*columns, strict=True):
                done += 1
                yield done, [_text(cell) for cell in cells]

    return Table(path.name, list(file.schema_arrow.names), rows(), file.metadata.num_rows, lambda: done)


def _text(cell: Any) -> str:
    """Return a Parquet value as a CSV would have it; a float as the shortest decimal that is the same float."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        # NaN is what data frames write for a missing number.
        return ""
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, Decimal):
        return format(cell, "f")
    return str(cell)
