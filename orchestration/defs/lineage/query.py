"""Columns of tables from which each column of a query is computed, by sqlglot.

ClickHouse's SQL has forms that sqlglot does not trace. They are put into standard ones that read the same columns.
"""

import logging
import re
from collections import defaultdict
from typing import NamedTuple

import sqlglot
from sqlglot import exp
from sqlglot.helper import ensure_list
from sqlglot.lineage import lineage
from sqlglot.optimizer import find_all_in_scope
from sqlglot.schema import MappingSchema

_DIALECT = "clickhouse"
# It warns of every table function.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

# Of each form, what is read of columns is the same with and without it.
_SIMPLER = (
    # The value of a parameter, {name:Type}, comes from no column.
    (re.compile(r"\{\s*\w+\s*:[^{}]*\}"), "null"),
    # An element of a tuple, pair.1, counts as the whole.
    (re.compile(r"([A-Za-z_]\w*|[)\]])\s*\.\d+\b"), r"\1"),
    # Numbers that an aggregate function is given, quantile(0.5)(price).
    (re.compile(r"\b(\w+)\([\d., ]+\)\s*\("), r"\1("),
    # Of a list, or of what a function makes of its items; sqlglot knows the first only.
    (re.compile(r"\barrayM(ax|in)\("), r"arrayExtreme("),
    # A name in ClickHouse, a keyword in standard SQL.
    (re.compile(r"\bvalues\b(?!\s*\()"), '"values"'),
)


class Column(NamedTuple):
    """A column of a table in the warehouse."""

    database: str
    table: str
    name: str


class Columns:
    """Columns of the tables that queries read, by which `*` and unqualified names are resolved."""

    def __init__(self) -> None:
        self._schema = MappingSchema(dialect=_DIALECT, normalize=False)

    def add(self, database: str, table: str, names: list[str]) -> None:
        """Make a table known."""
        # Types decide nothing here.
        columns = dict.fromkeys(names, "String")
        self._schema.add_table(exp.table_(table, db=database, quoted=True), columns, match_depth=False)

    def origins(self, sql: str) -> dict[str, set[Column]]:
        """For each column of a query, the columns of tables that its values are computed from.

        Those that only decide which rows there are (`where`, `on`, `group by`) are not among them.

        Raises:
            SqlglotError: the query is not understood. Other errors may come out of the parser as well.
        """
        for form, simpler in _SIMPLER:
            sql = form.sub(simpler, sql)
        query = sqlglot.parse_one(sql, dialect=_DIALECT)
        self._name_tables(query)
        _name_values_as_tables(query)
        _unfold_array_joins(query)
        _name_no_outputs_ahead(query)
        traced = lineage(None, query, self._schema, dialect=_DIALECT, trim_selects=False, copy=False)
        return {
            name: {
                Column(leaf.expression.db, leaf.expression.name, leaf.name.rpartition(".")[2].strip('`"'))
                for leaf in node.walk()
                if isinstance(leaf.expression, exp.Table)
            }
            for name, node in traced.items()
        }

    def _name_tables(self, query: exp.Expr) -> None:
        """Every table by its name alone; of the system's and of functions nothing is known, and nothing is traced."""
        for final in list(query.find_all(exp.Final)):
            final.replace(final.this)
        for table in list(query.find_all(exp.Table)):
            # A view with parameters, quant.frames(as_of = now()).
            if isinstance(table.this, exp.Anonymous) and table.db:
                table.set("this", _quoted(table.this.name))
            if isinstance(table.this, exp.Func) or (table.db and not self._schema.column_names(table)):
                table.replace(exp.select(exp.alias_(exp.null(), "nothing")).subquery(table.alias_or_name or None))


def _name_values_as_tables(query: exp.Expr) -> None:
    """`with (select max(a) from t) as m` names a value: make it a table of one row, and `m` a read of it.

    `with a + b as c` is what `c` stands for.
    """
    for clause in list(query.find_all(exp.With)):
        readers = _by_name(clause.find_ancestor(exp.Query) or query)
        kept = []
        for named in list(clause.expressions):
            if not named.args.get("scalar"):
                kept.append(named)
                continue
            name, value = named.alias, named.this
            named.pop()
            # Within it, the name is that of a column.
            within = {id(column) for column in value.find_all(exp.Column)}
            if isinstance(value, exp.Subquery):
                kept.append(exp.CTE(this=exp.select(exp.alias_(value, name)), alias=exp.TableAlias(this=_quoted(name))))
                value = exp.select(exp.column(_quoted(name))).from_(exp.Table(this=_quoted(name))).subquery()
            else:
                value = exp.paren(value)
            _replace([column for column in readers[name] if id(column) not in within], value)
        clause.set("expressions", kept)
        if not kept:
            clause.pop()


def _unfold_array_joins(query: exp.Expr) -> None:
    """`array join list as item`: each `item` is read from `list`."""
    for join in [join for join in query.find_all(exp.Join) if join.kind == "ARRAY"]:
        select = join.parent_select or query
        join.pop()
        for part in ("expressions", "where", "group", "having", "order"):
            for reader in ensure_list(select.args.get(part)):
                readers = _by_name(reader)
                for item in (join.this, *join.expressions):
                    if isinstance(item, exp.Alias):
                        _replace(readers[item.alias], exp.paren(item.this))


def _name_no_outputs_ahead(query: exp.Expr) -> None:
    """`select a * 2 as b, x + y as a`: an output may be read before it is named, and an element of it anywhere."""
    for select in list(query.find_all(exp.Select)):
        outputs = {item.alias: (place, item) for place, item in enumerate(select.expressions) if item.alias}
        sources = {table.alias_or_name for table in select.find_all(exp.Table, exp.Subquery)}
        for place, item in reversed(list(enumerate(select.expressions))):
            # Of `* except (a)`, `a` is no output.
            if item.is_star:
                continue
            for column in list(find_all_in_scope(item, exp.Column)):
                where, read = outputs.get(column.table or column.name, (place, item))
                is_ahead = column.table not in sources if column.table else where > place
                if is_ahead and read is not item:
                    _replace([column], exp.paren(read.unalias()))


def _by_name(where: exp.Expr) -> dict[str, list[exp.Column]]:
    found = defaultdict(list)
    for column in where.find_all(exp.Column):
        # Also `item.field`, an element of a named tuple.
        found[column.table or column.name].append(column)
    return found


def _replace(readers: list[exp.Column], value: exp.Expr) -> None:
    for column in readers:
        is_output = isinstance(column.parent, exp.Select) and column.arg_key == "expressions"
        column.replace(exp.alias_(value.copy(), column.name, quoted=True) if is_output else value.copy())


def _quoted(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)
